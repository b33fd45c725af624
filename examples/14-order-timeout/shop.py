"""Ten pieces, and the orders for them. An open order keeps a piece until it is paid or given up."""

import sqlite3

STOCK = 10


class Shop:
    def __init__(self):
        self._db = sqlite3.connect("shop.db", isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, state TEXT DEFAULT 'open')"
        )

    def place(self):
        """Takes an order; its number."""
        return self._db.execute("INSERT INTO orders DEFAULT VALUES").lastrowid

    def pay(self, order):
        self._end(order, "paid")

    def give_up(self, order):
        """Gives an order up, unless it is not open any more; whether it was. To do it twice does no harm."""
        return self._end(order, "given up")

    def _end(self, order, state):
        end = "UPDATE orders SET state = ? WHERE id = ? AND state = 'open'"
        return self._db.execute(end, [state, order]).rowcount == 1

    def left(self):
        """How many pieces nobody has ordered."""
        (kept,) = self._db.execute("SELECT count(*) FROM orders WHERE state <> 'given up'").fetchone()
        return STOCK - kept
