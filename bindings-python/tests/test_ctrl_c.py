"""Ctrl-C ends every call that waits, within about a tenth of a second."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

WAITS = {
    "for message in queue.consume()": "list(queue.consume())",
    "get()": "queue.consume().get()",
    "get(timeout)": "queue.consume().get(timeout=30)",
    "call": "mq.call('tasks', 1)",
    "Server.wait": "mq.serve('served', print).wait()",
    "a second consumer of a shared channel": "[mq.channel().queue('tasks').consume() for _ in range(2)][1].get()",
    "asyncio": """
import asyncio, warrenmq.aio
async def main():
    async with warrenmq.aio.connect("inproc://") as mq:
        async for message in (await mq.queue("tasks")).consume():
            pass
asyncio.run(main())
""",
}


def interrupted(program, times=1):
    """Runs a program that prints a line when it is about to wait; how long it took to end, and what it printed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # what runs in the background ignores it
    )
    assert process.stdout.readline() == "waiting\n", process.stderr.read()
    for _ in range(times):
        time.sleep(0.2)
        begin = time.monotonic()
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=10)
    return time.monotonic() - begin, process.returncode, out, err


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c_ends(wait):
    program = f"""
import warrenmq
mq = warrenmq.connect("inproc://")
queue = mq.queue("tasks")
print("waiting", flush=True)
try:
{textwrap.indent(wait.strip(), "    ")}
except KeyboardInterrupt:
    print("interrupted")
    queue.send("still works")
"""
    took, status, out, err = interrupted(program)
    assert (status, out) == (0, "interrupted\n"), err
    assert took < 0.5  # with the interpreter's exit, on a busy machine


def test_a_handler_of_the_program_runs_while_a_call_waits():
    program = """
    import signal, warrenmq
    queue = warrenmq.connect("inproc://").queue("tasks")
    signal.signal(signal.SIGINT, lambda *_: queue.send("from the handler"))
    print("waiting", flush=True)
    print(next(queue.consume()).text())
    """
    _, status, out, err = interrupted(program)
    assert (status, out) == (0, "from the handler\n"), err


def test_a_message_is_not_lost_to_ctrl_c():
    program = """
    import warrenmq
    mq = warrenmq.connect("inproc://")
    queue = mq.queue("tasks")
    print("waiting", flush=True)
    try:
        queue.consume().get()
    except KeyboardInterrupt:
        queue.send("after")
        print(next(queue.consume()).text())
    """
    _, status, out, err = interrupted(program)
    assert (status, out) == (0, "after\n"), err


@pytest.mark.parametrize("ask", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_ends_cleanly(ask):
    process = subprocess.Popen(
        [sys.executable, "-m", "warrenmq", "serve", "--memory", "--amqp", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline().startswith("ready amqp://127.0.0.1:")
    process.send_signal(ask)
    _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "")
