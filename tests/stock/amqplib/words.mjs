// Short words for what both amqplib suites do often.
import { randomUUID } from 'node:crypto'

/** The broker under test. */
export const URL = process.env.AMQP_URL

/** A name that no other test uses. */
export const unique = (word) => `${word}.${randomUUID()}`

/** A first-in first-out list: `push` as a consumer's callback, `take` waits for the next, ten seconds at most. */
export class Inbox {
  #items = []
  #waiting = []

  push = (item) => {
    const waiting = this.#waiting.shift()
    if (waiting) waiting(item)
    else this.#items.push(item)
  }

  take() {
    if (this.#items.length) return Promise.resolve(this.#items.shift())
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error('no message came')), 10_000)
      this.#waiting.push((item) => {
        clearTimeout(late)
        resolve(item)
      })
    })
  }

  async text() {
    return (await this.take()).content.toString()
  }

  get size() {
    return this.#items.length
  }
}

export function fib(n) {
  let [a, b] = [0, 1]
  while (n-- > 0) [a, b] = [b, a + b]
  return a
}
