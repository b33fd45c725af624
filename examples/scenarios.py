"""What is run for each example, and in which order. Their programs are in the folders."""

from stage import Stage


def hello_world(stage: Stage) -> None:
    """A message sent to a queue is received, whether the receiver started before or after."""
    before = stage.start("receive.py")
    stage.run("send.mjs")
    before.prints("received Hello World!")
    before.stop()
    stage.run("send.py")
    stage.start("receive.mjs")


def node_sends_python_receives(stage: Stage) -> None:
    """Text, JSON and bytes survive exactly, from Node to Python and back."""
    stage.start("receive.py")
    stage.run("send.mjs")
    stage.start("receive.mjs")
    stage.run("send.py")


def work_queue(stage: Stage) -> None:
    """Workers share tasks round robin; a worker that is killed loses nothing."""
    survivor = stage.start("worker.py")
    victim = stage.start("worker.mjs")
    stage.run("send.mjs", "1.", "2.", "3.", "4.", "5.")
    survivor.prints("done 5.")
    victim.prints("done 4.")
    stage.run("send.mjs", "6...")
    victim.prints("started 6...")
    victim.kill()


def fair_dispatch(stage: Stage) -> None:
    """With a prefetch of 1, a slow worker gets no second task before it has done the first."""
    stage.start("slow.py")
    stage.start("fast.mjs")
    stage.run("send.mjs")
    stage.run("limits.py")
    stage.run("limits.mjs")


def publish_subscribe(stage: Stage) -> None:
    """Each subscriber gets every message."""
    subscribers = [stage.start("subscribe.py"), stage.start("subscribe.mjs")]
    stage.run("publish.mjs")
    for subscriber in subscribers:
        subscriber.prints("received third")
        subscriber.stop()
    stage.run("publish.mjs", name="publish.mjs again")


def routing(stage: Stage) -> None:
    """Subscribers choose by severity."""
    stage.start("subscribe.py", "info", "warning", "error")
    stage.start("subscribe.mjs", "error")
    stage.run("publish.mjs")


def topics(stage: Stage) -> None:
    """Subscribers choose by patterns; a message that several of them match comes once."""
    stage.start("subscribe.py", "#", "mysql.*", "*.redis", "mysql.error.*", "*.info", name="everything")
    stage.start("subscribe.mjs", "mysql.*", "*.redis", "mysql.error.*", "*.info", name="databases")
    stage.start("subscribe.mjs", "critical*", name="critical*")
    stage.run("publish.py")


def headers(stage: Stage) -> None:
    """Subscribers choose by headers, of which all or any have to match."""
    stage.start("subscribe.py", "all", name="all")
    stage.start("subscribe.mjs", "any", name="any")
    stage.start("subscribe.py", "all-with-x", name="all-with-x")
    stage.start("subscribe.mjs", "any-with-x", name="any-with-x")
    stage.run("publish.mjs")


def default_exchange(stage: Stage) -> None:
    """The default exchange sends each message to the queue that its routing key names."""
    stage.start("receive.mjs")
    stage.run("send.py")
    stage.run("send.mjs")


def rpc(stage: Stage) -> None:
    """Two servers answer the calls of two clients."""
    stage.start("server.py")
    stage.start("server.mjs")
    stage.run("client.py")
    stage.run("client.mjs")


SCENARIOS = {
    "01-hello-world": hello_world,
    "02-node-sends-python-receives": node_sends_python_receives,
    "03-work-queue": work_queue,
    "04-fair-dispatch": fair_dispatch,
    "05-publish-subscribe": publish_subscribe,
    "06-routing": routing,
    "07-topics": topics,
    "08-headers": headers,
    "09-default-exchange": default_exchange,
    "10-rpc": rpc,
}
