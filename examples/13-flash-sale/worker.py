import os
import random
import sqlite3
import time

import warrenmq

STOCK = 100
WAY = 0.005  # seconds, more or less, to the database, as in shop.mjs


def ask(statement, *values):
    time.sleep(WAY * random.uniform(0.5, 1.5))
    return shop.execute(statement, values).fetchall()


def buy(order, message):
    """Counts, and then inserts; which is right as long as it is done by one."""
    [(sold,)] = ask("SELECT count(*) FROM sales")
    if sold >= STOCK:
        return False
    ask("INSERT INTO sales VALUES (?)", order["customer"])
    return True


# One thread uses it: the server's.
shop = sqlite3.connect("shop.db", isolation_level=None, check_same_thread=False)
with warrenmq.connect(os.environ.get("WARRENMQ_URL", "amqp://127.0.0.1")) as mq:
    server = mq.serve("orders", buy, prefetch=1)
    print("ready")
    server.wait()
