"""WarrenMQ for asyncio: the names of `warrenmq`, to be awaited. Works with any event loop that can watch a file
descriptor, uvloop's too.

>>> import asyncio, warrenmq.aio
>>> async def main():
...     async with warrenmq.aio.connect("inproc://") as mq:
...         tasks = await mq.queue("tasks")
...         await tasks.send({"n": 30})
...         async for message in tasks.consume(prefetch=200):
...             print(message.json())
...             message.ack()
...             break
>>> asyncio.run(main())
{'n': 30}
"""

from ._connection import Channel, Connection, Exchange, Queue, connect
from ._consumer import Consumer
from ._serving import Handler, Server

__all__ = ["Channel", "Connection", "Consumer", "Exchange", "Handler", "Queue", "Server", "connect"]
