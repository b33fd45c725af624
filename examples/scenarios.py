"""What is run for each example, and in which order. Their programs are in the folders."""

import socket

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


def flash_sale(stage: Stage) -> None:
    """A hundred pieces are sold to a thousand customers: too many straight, exactly all through a queue."""
    (stage.folder / "results.jsonl").unlink(missing_ok=True)

    def sale(way: str, web: str, *how: str, clients: tuple[str, ...], workers: tuple[str, ...] = ()) -> None:
        port = free_port()
        servers = [stage.start(web, port, *how, name=way), *map(stage.start, workers)]
        stage.run("load.mjs", port, way, *clients, name=f"{way}, load")
        for server in servers:
            server.stop()

    sale("straight", "web.mjs", "straight", clients=("100", "300", "500"))
    sale("in turn", "web.mjs", "in-turn", clients=("300",))
    sale("queue", "web.mjs", "queue", clients=("100", "300", "500"), workers=("worker.mjs",))
    sale("queue, Python", "web.mjs", "queue", clients=("300",), workers=("worker.py",))
    sale("amqplib", "amqplib-web.mjs", clients=("100", "300", "500"), workers=("amqplib-worker.mjs",))
    stage.run("compare.mjs")


def order_timeout(stage: Stage) -> None:
    """An order that is not paid is given up in time; one that is paid is not."""
    for file in stage.folder.glob("shop.db*"):
        file.unlink()
    by_dead_letter = stage.start("timeout.py", "dead-letter")
    by_delay = stage.start("timeout.mjs", "delay")
    stage.run("order.mjs", "delay", name="order.mjs delay")
    by_delay.prints("time-out of order 2: given up, 9 left")
    stage.run("order.py", "dead-letter", name="order.py dead-letter")
    by_dead_letter.prints("time-out of order 4, expired in unpaid: given up, 8 left")
    stage.run("order.py", "delay", name="order.py delay")
    by_delay.prints("time-out of order 6: given up, 7 left")
    stage.run("order.mjs", "dead-letter", name="order.mjs dead-letter")


def alerts(stage: Stage) -> None:
    """Alerts are mailed to those whom they concern."""
    operations, api_team = free_port(), free_port()
    stage.start("mailbox.mjs", operations, name="operations")
    stage.start("mailbox.mjs", api_team, name="API team")
    critical = ("critical", "critical.*", "ops@example.com", "pager@example.com")
    stage.start("notify.py", operations, *critical, name="critical")
    stage.start("notify.mjs", api_team, "rate_limit", "*.rate_limit", "api@example.com", name="rate_limit")
    stage.run("alert.py", "critical.disk", "/var is full")
    stage.run("alert.mjs", "info.rate_limit", "90% of the limit")
    stage.run("alert.mjs", "info.login", "ada has logged in", name="alert.mjs again")
    stage.run("alert.py", "critical.rate_limit", "4800 calls in a second", name="alert.py again")


def batch_work(stage: Stage) -> None:
    """Everybody who works on a picture has a queue; a mail sender without a mail server holds up nobody."""
    smtp = free_port()
    resizers = [stage.start("resize.mjs", "200"), stage.start("resize.py", "800")]
    ledger = stage.start("points.py")
    mail = stage.start("mail.mjs", smtp)
    stage.run("upload.mjs", "sea.jpg", "ada")
    mail.prints("cannot thank ada for sea.jpg: ESOCKET")
    stage.run("upload.py", "sun.jpg", "ada")
    resizers[0].prints("sun.jpg: 200 x 150")
    resizers[1].prints("sun.jpg: 800 x 600")
    ledger.prints("ada has 20 points")
    stage.start("../15-alerts/mailbox.mjs", smtp, name="mailbox")


def registration(stage: Stage) -> None:
    """A web handler answers at once; what has to be done follows."""
    recommendations = stage.start("work.mjs", "recommendation", name="recommendation")
    recommendations.stop()  # its queue stays
    stage.start("work.py", "mail", name="mail")
    stage.start("work.mjs", "notice", name="notice")
    ports = free_port(), free_port()
    stage.start("web.mjs", ports[0])
    stage.start("web.py", ports[1])
    stage.run("register.mjs", ports[0], "ada", "engines", name="ada")
    stage.run("register.mjs", ports[1], "bob", "rabbits", name="bob")
    stage.start("work.py", "recommendation", name="recommendation, back")


def adding_workers(stage: Stage) -> None:
    """Twice the workers do twice as much."""
    for workers in (1, 2, 4):
        for number in range(workers // 2, workers):
            stage.start("worker.mjs" if number % 2 else "worker.py", name=f"worker {number + 1}")
        stage.run("measure.py", stage.broker_pid, name=f"measure.py with {workers}")


def transactions(stage: Stage) -> None:
    """Publishes and acknowledgements take effect together or not at all."""
    stage.run("order.mjs")
    stage.run("book.py")
    stage.run("order.py")
    stage.run("book.mjs")


def free_port() -> str:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return str(server.getsockname()[1])


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
    "13-flash-sale": flash_sale,
    "14-order-timeout": order_timeout,
    "15-alerts": alerts,
    "16-batch-work": batch_work,
    "17-registration": registration,
    "18-adding-workers": adding_workers,
    "19-transactions": transactions,
}
