"""Node and Python in one process: a URL names one broker in both."""

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest
import warrenmq


def test_what_one_language_sends_the_other_receives_and_acknowledges(twins):
    seen = twins(
        python="""
        mq = None

        def square(count):
            global mq
            mq = warrenmq.connect("inproc://shared")
            there, back = mq.queue("there"), mq.queue("back")
            for message in there.consume(prefetch=10):
                n = message.json()
                back.send({"square": n * n, "trace": message.headers["trace"]}, correlation_id=message.correlation_id)
                message.ack()
                if n == count - 1:
                    break
            return there.info().message_count
        """,
        node="""
        const mq = await connect('inproc://shared')
        const there = await mq.queue('there')
        const back = await mq.queue('back')
        const squaring = call('square', 1000)
        for (let n = 0; n < 1000; n++) await there.send(n, { headers: { trace: `t${n}` }, correlationId: `c${n}` })
        let correct = 0
        for await (const message of back.consume({ prefetch: 10 })) {
          const { square, trace } = message.json()
          if (square === correct ** 2 && trace === `t${correct}` && message.correlationId === `c${correct}`) correct++
          message.ack()
          if (square === 999 ** 2) break
        }
        tell({ correct, unacked: await squaring, left: (await back.info()).messageCount })
        """,
    )
    assert seen == {"correct": 1000, "unacked": 0, "left": 0}


def test_calls_cross_in_both_directions(twins):
    seen = twins(
        python="""
        mq = warrenmq.connect("inproc://rpc")

        def serve():
            mq.serve("double", lambda n, message: 2 * n)

        def ask(n):
            return mq.call("triple", n)
        """,
        node="""
        const mq = await connect('inproc://rpc')
        callSync('serve')
        await mq.serve('triple', (n) => 3 * n)
        tell([await mq.call('double', 21), await call('ask', 14)])
        """,
    )
    assert seen == [42, 42]


def test_an_error_says_the_same_in_both_languages(twins):
    seen = twins(
        python="""
        mq = warrenmq.connect("inproc://errors")

        def failures():
            seen = []
            for use in (
                lambda: mq.queue("missing", passive=True),
                lambda: mq.queue("q", durable=True),
                lambda: mq.exchange("x", "odd"),
                lambda: mq.exchange("missing", passive=True).publish("x"),
                lambda: mq.queue("full", passive=True).send("x"),
                lambda: mq.queue("mine", passive=True),
            ):
                try:
                    use()
                except warrenmq.Error as error:
                    seen.append([error.code, error.reply_text, error.operation, error.entity, error.advice])
            return json.dumps(seen)
        """,
        node="""
        const mq = await connect('inproc://errors')
        const other = await connect('inproc://errors')
        await mq.queue('q')
        await other.queue('mine', { exclusive: true })
        const full = await mq.queue('full', { maxLength: 1, overflow: 'reject-publish' })
        await full.send('fills it')
        const seen = []
        const uses = [
          () => mq.queue('missing', { passive: true }),
          () => mq.queue('q', { durable: true }),
          () => mq.exchange('x', 'odd'),
          () => mq.exchange('missing', 'direct', { passive: true }).then((exchange) => exchange.publish('x')),
          () => full.send('x'),
          () => mq.queue('mine', { passive: true }),
        ]
        for (const use of uses) {
          await use().catch(({ code, replyText, operation, entity, advice }) =>
            seen.push([code, replyText, operation, entity, advice ?? null]))
        }
        tell({ node: seen, python: JSON.parse(callSync('failures')) })
        """,
    )
    assert seen["python"] == seen["node"]
    codes = [code for code, *_ in seen["node"]]
    assert codes == [
        "NOT_FOUND",
        "PRECONDITION_FAILED",
        "PRECONDITION_FAILED",
        "NOT_FOUND",
        "NACKED",
        "RESOURCE_LOCKED",
    ]
    assert seen["node"][0][1] == "NOT_FOUND - no queue 'missing' in vhost '/'"


def test_a_consumer_hears_that_the_other_language_deleted_its_queue_and_a_connection_that_it_is_closed(twins):
    seen = twins(
        python="""
        mq = warrenmq.connect("inproc://ends")
        happened = []
        closed = threading.Event()

        def listen():
            def ended(error):
                happened.append(str(error))
                closed.set()

            mq.on("close", ended)

        def consume():
            try:
                mq.queue("python's").consume().get()
            except warrenmq.Closed as error:
                return error.reason

        def delete():
            mq.queue("node's", passive=True).delete()

        def close():
            mq.close()
            closed.wait(10)
            return happened
        """,
        node="""
        const mq = await connect('inproc://ends')
        const queue = await mq.queue("python's")
        const ending = call('consume')
        const isConsumed = async (queue) => {
          while ((await queue.info()).consumerCount === 0) await new Promise(setImmediate)
        }
        await isConsumed(queue)
        await queue.delete()
        const other = await mq.queue("node's")
        const mine = other.consume().get().catch((error) => error.message)
        await isConsumed(other)
        await call('delete')
        callSync('listen')
        tell({ python: await ending, node: await mine, events: callSync('close'), open: mq.isOpen })
        """,
    )
    assert seen["python"] == "the queue was deleted" and "the queue was deleted" in seen["node"]
    assert seen["events"] == ["None"] and seen["open"]


def test_worker_threads_and_python_threads_share_it_too(twins):
    seen = twins(
        python="""
        def produce(threads, count):
            def send():
                with warrenmq.connect("inproc://threads") as mq:
                    queue = mq.queue("all")
                    for n in range(count):
                        queue.send({"from": "python", "n": n})
            started = [threading.Thread(target=send) for _ in range(threads)]
            for thread in started:
                thread.start()
            for thread in started:
                thread.join()

        def consume(threads, count):
            taken, enough = [], threading.Semaphore(0)
            def receive(mq):
                for message in mq.queue("all").consume(prefetch=20):
                    taken.append(message.json()["from"])
                    message.ack()
                    enough.release()
            connections = [warrenmq.connect("inproc://threads") for _ in range(threads)]
            for mq in connections:
                threading.Thread(target=receive, args=[mq], daemon=True).start()
            for _ in range(count):
                assert enough.acquire(timeout=20)
            return json.dumps({name: taken.count(name) for name in set(taken)})
        """,
        node="""
        import { Worker } from 'node:worker_threads'
        const mq = await connect('inproc://threads')
        await mq.queue('all')
        const worker = () => new Worker(`
          const { connect } = require('warrenmq')
          connect('inproc://threads').then(async (mq) => {
            const queue = await mq.queue('all')
            for (let n = 0; n < 2000; n++) await queue.send({ from: 'node', n })
            await mq.close()
          })
        `, { eval: true, execArgv: [] })
        const workers = [worker(), worker()]
        const [, counts] = await Promise.all([call('produce', 2, 2000), call('consume', 3, 8000)])
        tell(JSON.parse(counts))
        """,
    )
    assert seen == {"node": 4000, "python": 4000}


LONG = """
import hashlib
SIZE = 16 << 20
mq = warrenmq.connect("inproc://long")
there, back = mq.queue("there"), mq.queue("back")

def receive(count):
    digests = []
    with there.consume(prefetch=2) as consumer:
        for _ in range(count):
            message = next(consumer)
            digests.append(hashlib.sha1(message.body).hexdigest())
            message.ack()
    return digests

def send(count):
    for n in range(count):
        back.send(bytes([n]) * SIZE)
"""


def test_long_bodies_cross_by_no_system_call(twins, tmp_path):
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("no strace")
    trace = tmp_path / "trace"
    seen = twins(
        wrapper=[
            strace,
            "-f",
            "-o",
            trace,
            "-e",
            "trace=network,read,write,readv,writev,sendfile,splice,faccessat,access",
        ],
        python=LONG,
        node="""
        import { createHash } from 'node:crypto'
        import { accessSync } from 'node:fs'
        const mark = (name) => { try { accessSync(`/twins/${name}`) } catch {} }
        const SIZE = 16 << 20, COUNT = 4
        const mq = await connect('inproc://long')
        const [there, back] = [await mq.queue('there'), await mq.queue('back')]
        const sha1 = (bytes) => createHash('sha1').update(bytes).digest('hex')
        const bodies = Array.from({ length: COUNT }, (_, n) => Buffer.alloc(SIZE, n))
        mark('begin')
        const receiving = call('receive', COUNT)
        for (const body of bodies) await there.send(body)
        const theirs = await receiving
        const sending = call('send', COUNT)
        const mine = []
        for await (const message of back.consume({ prefetch: 2 })) {
          mine.push(sha1(message.body))
          message.ack()
          if (mine.length === COUNT) break
        }
        await sending
        mark('end')
        tell({ sent: bodies.map(sha1), theirs, mine })
        """,
    )
    assert seen["theirs"] == seen["sent"] == seen["mine"] and len(seen["sent"]) == 4
    lines = trace.read_text().splitlines()
    begin, end = (next(at for at, line in enumerate(lines) if f"/twins/{mark}" in line) for mark in ("begin", "end"))
    meanwhile = lines[begin:end]
    sockets = [
        line for line in meanwhile if re.search(r"\b(socket|socketpair|connect|accept4?|send\w*|recv\w*)\(", line)
    ]
    assert not sockets, sockets[:10]
    moved = sum(
        int(size) for line in meanwhile for size in re.findall(r"(?:read|write|sendfile|splice)v?\(.* = (\d+)$", line)
    )
    assert moved < 100_000, f"{moved} bytes went through system calls, of {8 * (16 << 20)}"


def test_one_language_hosts_a_directory_and_the_other_uses_it_without_a_socket(twins, tmp_path):
    url = f"local:{tmp_path / 'data'}"
    seen = twins(
        python=f"""
        mq, happened = None, []

        def receive():
            global mq
            mq = warrenmq.connect("{url}")
            mq.on("reconnected", lambda _: happened.append("reconnected"))
            queue = mq.queue("q", durable=True)
            message = queue.get()
            message.ack()
            with open("/proc/net/unix") as sockets:
                connected = [line for line in sockets if "{tmp_path}" in line and " 03 " in line]
            return json.dumps([message.text(), len(connected)])

        def go_on():
            queue = mq.queue("q", durable=True)
            queue.send("from python")
            return json.dumps([mq.is_open, happened, queue.info().message_count])
        """,
        node=f"""
        const mq = await connect('{url}')
        const queue = await mq.queue('q', {{ durable: true }})
        await queue.send('from node')
        const received = JSON.parse(await call('receive'))
        await mq.close()
        const alone = JSON.parse(await call('go_on'))
        const again = await connect('{url}')
        const message = await (await again.queue('q', {{ durable: true }})).get()
        tell({{ received, alone, again: message.text() }})
        """,
    )
    assert seen == {"received": ["from node", 0], "alone": [True, [], 1], "again": "from python"}


def test_what_node_acknowledges_just_before_it_exits_does_not_come_again(twins, tmp_path):
    url = f"local:{tmp_path / 'data'}"
    python = f"""
    def connect():
        global mq
        mq = warrenmq.connect("{url}")
    """
    twins(
        python=python,
        node=f"""
        callSync('connect')
        const mq = await connect('{url}')
        const queue = await mq.queue('q', {{ durable: true }})
        await queue.sendMany(['one', 'two'])
        const message = await queue.get()
        message.ack()
        tell(message.text())
        """,
    )
    left = twins(
        python=python,
        node=f"""
        const queue = await (await connect('{url}')).queue('q', {{ durable: true }})
        const left = []
        for (let message; (message = await queue.get({{ noAck: true }})) !== null; ) left.push(message.text())
        tell(left)
        """,
    )
    assert left == ["two"]


def test_what_one_language_has_in_hand_goes_on_when_the_other_ends_the_process(twins, tmp_path):
    url, hosting = f"local:{tmp_path / 'data'}", tmp_path / "hosting"
    os.mkfifo(hosting)
    with ThreadPoolExecutor() as pool:
        ended = pool.submit(
            twins,
            python=f"""
            def receive():
                global mq, message
                mq = warrenmq.connect("{url}")
                message = mq.queue("q").get()
            """,
            node=f"""
            const {{ writeFileSync }} = await import('node:fs')
            const mq = await connect('{url}')
            const attached = await mq.queue('attached')
            await (await mq.queue('q')).send('in hand')
            callSync('receive')
            writeFileSync('{hosting}', '')
            for await (const message of attached.consume()) break
            tell(null)
            """,
        )
        hosting.read_text()
        with warrenmq.connect(url) as mq:
            mq.queue("attached").send("here")
            ended.result()
            message = mq.queue("q").get()
    assert message is not None
    assert (message.text(), message.redelivered) == ("in hand", True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_the_child_of_a_fork_starts_afresh(twins):
    seen = twins(
        python="""
        mq = warrenmq.connect("inproc://forks")
        queue = mq.queue("q")
        consumer = queue.consume()

        def fork():
            child = os.fork()
            if child == 0:
                try:
                    for use in (lambda: queue.send("x"), consumer.get, mq.channel, mq.close):
                        try:
                            use()
                        except warrenmq.Forked as error:
                            assert "open a new connection" in str(error)
                        else:
                            os._exit(2)
                    with warrenmq.connect("inproc://forks") as own:
                        tasks = own.queue("q")
                        assert tasks.message_count == 0
                        tasks.send("mine")
                        with tasks.consume() as mine:
                            assert next(mine).text() == "mine"
                        own.serve("triple", lambda n, message: 3 * n)
                        assert own.call("triple", 2) == 6
                    os._exit(0)
                except BaseException as error:
                    print(repr(error), flush=True)
                    os._exit(3)
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        """,
        node="""
        const mq = await connect('inproc://forks')
        const queue = await mq.queue('q')
        await queue.send('one')
        const statuses = []
        for (let i = 0; i < 5; i++) statuses.push(callSync('fork'))
        await queue.send('two')
        tell({ statuses, open: mq.isOpen })
        """,
    )
    assert seen == {"statuses": [0] * 5, "open": True}


def test_a_process_that_ends_with_everything_open_ends_cleanly(twins):
    seen = twins(
        python="""
        mq = warrenmq.connect("inproc://ends")

        def receive():
            def work():
                for message in mq.queue("q").consume():
                    message.ack()
            threading.Thread(target=work, daemon=True).start()
        """,
        node="""
        const mq = await connect('inproc://ends')
        const queue = await mq.queue('q')
        queue.consume((message) => message.ack())
        callSync('receive')
        for (let i = 0; i < 10_000; i++) queue.send('x')
        await queue.send('last')
        tell('ends')
        """,
    )
    assert seen == "ends"
