// Ten pieces, and the orders for them. An open order keeps a piece until it is paid or given up.
import Database from 'libsql' // SQLite, with a driver that needs no compiler

const STOCK = 10

export class Shop {
  #db = new Database('shop.db', { timeout: 5000 })

  constructor() {
    this.#db.exec('PRAGMA journal_mode = WAL')
    this.#db.exec("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, state TEXT DEFAULT 'open')")
  }

  /** Takes an order; its number. */
  place() {
    return this.#db.prepare('INSERT INTO orders DEFAULT VALUES').run().lastInsertRowid
  }

  pay(order) {
    this.#end(order, 'paid')
  }

  /** Gives an order up, unless it is not open any more; whether it was. To do it twice does no harm. */
  giveUp(order) {
    return this.#end(order, 'given up')
  }

  #end(order, state) {
    const end = this.#db.prepare("UPDATE orders SET state = ? WHERE id = ? AND state = 'open'")
    return end.run(state, order).changes === 1
  }

  /** How many pieces nobody has ordered. */
  left() {
    const kept = this.#db.prepare("SELECT count(*) AS kept FROM orders WHERE state <> 'given up'").get()
    return STOCK - kept.kept
  }
}
