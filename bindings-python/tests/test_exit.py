"""Nothing hangs, crashes or complains when the interpreter exits, whatever is still going on."""

import pytest

GOING_ON = {
    "an open connection": "",
    "an open connection that was used": "mq.queue('q').send('x'); mq.queue('q').get()",
    "a consumer that nobody iterates": "consumer = mq.queue('q').consume(); mq.queue('q').send('x')",
    "a consumer in the middle of a batch": """
q = mq.queue('q'); q.send_many(['x'] * 1000); consumer = q.consume(); next(consumer).ack()
""",
    "messages that were not acknowledged": """
q = mq.queue('q'); q.send_many(['x'] * 10); consumer = q.consume(); messages = [next(consumer) for _ in range(10)]
""",
    "a thread that waits for a message": """
consumer = mq.queue('q').consume()
threading.Thread(target=lambda: list(consumer), daemon=True).start(); time.sleep(0.05)
""",
    "threads that send and receive": """
q = mq.queue('q')
def send():
    while True: q.send(b'x')
def receive():
    for message in q.consume(): message.ack()
for work in send, receive, receive: threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
""",
    "a server": "server = mq.serve('q', lambda value, message: value); assert mq.call('q', 1) == 1",
    "a server that is busy": """
server = mq.serve('q', lambda value, message: time.sleep(60)); mq.queue('q').send('x'); time.sleep(0.05)
""",
    "a call that waits": """
mq.queue('q')
threading.Thread(target=mq.call, args=('q', 1), daemon=True).start(); time.sleep(0.05)
""",
    "a listener of events": "mq.on('close', print); mq.on('return', print)",
    "an open port": "broker.listen()",
    "a channel": "channel = mq.channel(); channel.queue('q').consume()",
    "an event loop that was abandoned": """
import asyncio, warrenmq.aio
async def main():
    global kept
    connection = await warrenmq.aio.connect('inproc://')
    queue = await connection.queue('q')
    consumer = await queue.consume()
    server = await connection.serve('double', lambda n, message: 2 * n)
    assert await connection.call('double', 2) == 4
    connection.on('close', print)
    await connection.listen()
    kept = connection, queue, consumer, server
loop = asyncio.new_event_loop()
loop.run_until_complete(main())
""",
    "connections in a cycle": """
class Holder: pass
holder = Holder(); holder.me = holder; holder.mq = mq; holder.consumer = mq.queue('q').consume()
""",
    "a connection used while modules go": """
class Late:
    def __del__(self, mq=mq, queue=mq.queue('q')):
        try: queue.send('x')
        except Exception: pass
late = Late()
""",
    "an exit handler that uses a connection": "import atexit; atexit.register(lambda: mq.queue('q').send('x'))",
    "sys.exit in a with block": """
import sys
with mq, mq.queue('q').consume() as consumer, mq.serve('s', print): sys.exit(0)
""",
}


@pytest.mark.parametrize("transport", ["inproc", "amqp"])
@pytest.mark.parametrize("going_on", GOING_ON.values(), ids=GOING_ON)
def test_the_interpreter_exits_with(run, going_on, transport):
    begin = "import threading, time, warrenmq\nmq = broker = warrenmq.connect('inproc://')\n"
    if transport == "amqp":
        begin += "mq = warrenmq.connect(f'amqp://{broker.listen()}')\n"
    assert run(begin + going_on) in ("", "None\n")


def test_sending_and_fetching_in_process_starts_no_thread(run):
    program = """
    import os, warrenmq, warrenmq.aio
    mq = warrenmq.connect("inproc://")
    queue = mq.queue("q")
    queue.send("x")
    queue.get(no_ack=True)
    print(len(os.listdir("/proc/self/task")))
    """
    assert run(program) == "1\n"
