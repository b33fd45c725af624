// A network between client and broker that fails when it is told to (proxy.py, for Node).
import { once } from 'node:events'
import { connect, createServer } from 'node:net'

export class Proxy {
  #target
  #server
  #sockets = new Set()
  port = 0

  /** @param {string} url of the broker */
  constructor(url) {
    this.#target = new URL(url)
  }

  static async to(url) {
    const proxy = new Proxy(url)
    await proxy.up()
    return proxy
  }

  get url() {
    const url = new URL(this.#target)
    url.port = String(this.port)
    return url.href
  }

  /** Take connections, on the same port as before. */
  async up() {
    this.#server = createServer((client) => {
      const broker = connect(Number(this.#target.port), this.#target.hostname)
      for (const [from, to] of [
        [client, broker],
        [broker, client],
      ]) {
        this.#sockets.add(from)
        from.setNoDelay(true)
        from.on('error', () => {})
        from.on('close', () => {
          this.#sockets.delete(from)
          to.destroy()
        })
        from.pipe(to)
      }
    })
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
    this.port = this.#server.address().port
  }

  /** Break all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Break all connections, and refuse new ones until `up()`. */
  down() {
    if (!this.#server.listening) return
    this.#server.close()
    this.cut()
  }
}
