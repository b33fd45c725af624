// A shop with a hundred pieces, and a table of those who got one. It does what such shops do, and what is wrong
// as soon as two customers come at once: count, and then insert.
import { setTimeout as sleep } from 'node:timers/promises'
import Database from 'libsql' // SQLite, with a driver that needs no compiler

export const STOCK = 100
/** Milliseconds, more or less, to the database, which in most shops is across a network. */
const WAY = 5

export class Shop {
  #db = new Database('shop.db', { timeout: 5000 })

  constructor() {
    this.#db.exec('PRAGMA journal_mode = WAL')
    this.#db.exec('PRAGMA synchronous = NORMAL')
    this.#db.exec('CREATE TABLE IF NOT EXISTS sales (customer TEXT)')
  }

  /** Sells a piece to a customer; whether there was one. */
  async buy({ customer }) {
    await way()
    if (this.sold() >= STOCK) return false
    await way()
    this.#db.prepare('INSERT INTO sales VALUES (?)').run(customer)
    return true
  }

  /** How many were sold. */
  sold() {
    return this.#db.prepare('SELECT count(*) AS sold FROM sales').get().sold
  }

  /** Opens anew, with nothing sold. */
  reset() {
    this.#db.exec('DELETE FROM sales')
  }
}

function way() {
  return sleep(WAY * (0.5 + Math.random()))
}
