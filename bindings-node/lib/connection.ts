import { EventEmitter } from 'node:events'
import { isMainThread } from 'node:worker_threads'

import type { Body } from './body'
import { Channel } from './channel'
import { endClosed } from './consumer'
import type { Door } from './door'
import type { WarrenError } from './errors'
import { Exchange } from './exchange'
import { Lane } from './lane'
import type { Message } from './message'
import { type NativeConnection, native } from './native'
import type { ConnectOptions, ExchangeOptions, ExchangeType, QueueOptions, SendOptions } from './options'
import { Queue } from './queue'
import { Caller, type Reply, type ServeOptions, Server } from './rpc'
import { flushAll, Settler } from './settler'

/** What a connection tells unasked. */
export interface ConnectionEvents {
  /** It is closed; with the reason, unless its user closed it. */
  close: [error?: WarrenError]
  /** The broker takes no more publishes for now; the reason as it says it. */
  blocked: [reason: string]
  /** It takes them again. */
  unblocked: []
  /**
   * The process that hosts a directory gives no sign of life: a `TIMEOUT` that names it. What was awaited of it has
   * failed. Then comes `responsive` or, when that process ends, `reconnected`.
   */
  unresponsive: [error: WarrenError]
  /** It gives them again. */
  responsive: []
  /** The process that hosted a directory is gone, and the connection goes on with the next one. */
  reconnected: []
  /** A mandatory message came back, because no queue took it. */
  return: [message: Message]
  /**
   * Something failed that belongs to no call: a handler threw, a consumer with a handler was ended by the
   * broker, an acknowledgement was refused. Without a listener it is shown as a process warning; it never
   * crashes the process.
   */
  error: [error: unknown]
}

const DEFAULT_TIMEOUT = 10_000
const DEFAULT_HOST_TIMEOUT = 30_000
const DEFAULT_PREFETCH = 100

/** Those that may have something to tell. Weak: a connection that nobody holds is closed. */
const connections = new Map<number, WeakRef<Connection>>()
let lastNumber = 0

// When the program ends itself the event loop does not come round again, and a directory is to be left in good order:
// its acknowledgements written, and another process in charge. (To close one that is hosted here waits for the disk.) A
// Python in this process may have it open too, and does not hear that all ends.
process.on('exit', () => {
  flushAll()
  for (const connection of connections.values()) connection.deref()?.leave()
  if (isMainThread) native.ending()
})

/** Called by the native half. */
export function event(number: number, name: string, detail: unknown): void {
  connections.get(number)?.deref()?.happened(name, detail)
}

/**
 * Connects to a broker.
 *
 * @param url `inproc://NAME`: the broker of that name in this process, shared by all its worker threads (with
 * an empty name, one of its own); `local:PATH`: that of a directory, hosted by the first process of this user
 * to open it; `amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]` or `amqps://…`: any AMQP 0-9-1
 * broker
 * @throws `INVALID_ARGUMENT` for a URL that cannot be read, `UNREACHABLE`, `ACCESS_REFUSED`, `TIMEOUT`, also
 * when the process that hosts a directory does not answer. In one process Node and Python have the same `inproc:` brokers;
 * `UNSUPPORTED` when their modules are of different versions
 * @example
 * ```ts
 * await using mq = await connect('inproc://demo')
 * const tasks = await mq.queue('tasks')
 * await tasks.send({ n: 30 })
 * ```
 */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Connection> {
  const { name, timeout = DEFAULT_TIMEOUT, hostTimeout = DEFAULT_HOST_TIMEOUT, listen = [] } = options
  const bound = hostTimeout === Number.POSITIVE_INFINITY ? undefined : hostTimeout
  const connection = await native.connect(url, name, timeout, bound, [listen].flat())
  return Connection.open(connection, url)
}

/**
 * A connection to a broker. It does not keep the process alive; consumers, servers and calls under way do.
 * Collected without having been closed, it is closed.
 */
export class Connection extends EventEmitter<ConnectionEvents> implements AsyncDisposable {
  /** What it is connected to, with the password hidden. */
  readonly url: string
  /** The URL's scheme: `inproc`, `amqp` … */
  readonly transport: string

  readonly #native: NativeConnection
  readonly #door: Door
  #fetching: Settler | undefined
  #caller: Caller | undefined
  #closing: Promise<void> | undefined
  #closed = false

  private constructor(connection: NativeConnection, url: string) {
    super()
    this.#native = connection
    this.url = url.replace(/^(\w+:\/\/[^:@/]*):.*@/, '$1:***@')
    this.transport = url.slice(0, url.indexOf(':'))
    const closing = () => this.#closing !== undefined || this.#closed
    this.#door = {
      control: new Lane(connection, undefined),
      publishing: new Lane(connection, undefined),
      fetching: () => this.#fetch(),
      consuming: async (prefetch = DEFAULT_PREFETCH) => {
        const channel = await native.openChannel(connection)
        await native.prefetch(channel, prefetch, false)
        return { settler: new Settler(channel, (error) => this.#report(error)), own: true }
      },
      get closing() {
        return closing()
      },
      report: (error) => this.#report(error),
      returned: (message) => this.emit('return', message),
    }
  }

  /** @internal */
  static async open(native_: NativeConnection, url: string): Promise<Connection> {
    const connection = new Connection(native_, url)
    const number = ++lastNumber
    connections.set(number, new WeakRef(connection))
    native.onEvent(native_, number)
    await connection.#door.publishing.open()
    return connection
  }

  /** @internal */
  happened(name: string, detail: unknown): void {
    if (name === 'close') this.#closedBy(detail as WarrenError | undefined)
    else if (name === 'blocked') this.emit('blocked', detail as string)
    else if (name === 'unblocked') this.emit('unblocked')
    else if (name === 'unresponsive') this.emit('unresponsive', detail as WarrenError)
    else if (name === 'responsive') this.emit('responsive')
    else if (name === 'reconnected') this.emit('reconnected')
  }

  /** @internal */
  leave(): void {
    if (this.transport === 'local' && this.isOpen) void native.closeConnection(this.#native)
  }

  #closedBy(error: WarrenError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#caller?.close(error)
    endClosed(error)
    if (error === undefined) this.emit('close')
    else this.emit('close', error)
  }

  #report(error: unknown): void {
    if (this.listenerCount('error') > 0) this.emit('error', error)
    else process.emitWarning(error instanceof Error ? error : String(error))
  }

  /** Whether it can still be used. */
  get isOpen(): boolean {
    return native.isOpen(this.#native)
  }

  /**
   * Declares a queue, unless it is there with the same options.
   * @param name at most 255 bytes; empty to have the broker make one up
   * @throws `PRECONDITION_FAILED` when it is there with other options, `NOT_FOUND` when `passive` and it is not
   * there, `RESOURCE_LOCKED` when another connection has it exclusively
   */
  queue(name = '', options: QueueOptions = {}): Promise<Queue> {
    return Queue.declare(this.#door, name, options)
  }

  /**
   * Declares an exchange, unless it is there with the same options.
   * @param name at most 255 bytes; empty for the default exchange, for which nothing is declared
   * @throws `PRECONDITION_FAILED` when it is there with other options or for an unknown type, `NOT_FOUND` when
   * `passive` and it is not there
   */
  exchange(name: string, type: ExchangeType = 'direct', options: ExchangeOptions = {}): Promise<Exchange> {
    return Exchange.declare(this.#door, name, type, options)
  }

  /** Opens a channel, for programs that want to say what shares one. */
  async channel(): Promise<Channel> {
    return new Channel(await native.openChannel(this.#native), this.#door)
  }

  /**
   * Lets AMQP clients in to the broker of this process, until the connection is closed.
   * @param address `HOST:PORT`; port 0 picks a free one
   * @returns where it listens
   * @throws `UNSUPPORTED` when the broker is not in this process, `RESOURCE_ERROR` when the address is taken
   */
  listen(address: string): Promise<string> {
    return native.listen(this.#native, address)
  }

  /**
   * Where AMQP clients come in by this connection, with the ports that were found: what {@link listen} returned, and
   * `listen` of {@link connect}. Empty as long as another process hosts.
   */
  get listening(): string[] {
    return native.listening(this.#native)
  }

  /**
   * Asks a server that {@link serve}s the queue, and waits for its answer. Over `local:` it comes although the process
   * that hosts the broker is killed, unless the request or the answer was in its memory: then the time runs out.
   * @param options.timeout how long, in milliseconds. Default 30 000
   * @param options.raw resolve to the reply as a message, rather than to its value. Default false
   * @throws `NO_ROUTE` when there is no such queue, `TIMEOUT`, `REMOTE` with the server's reason when it failed
   * @example
   * ```ts
   * const answer = await mq.call('fib', { n: 30 }, { timeout: 5000 })
   * ```
   */
  call(queue: string, body: Body, options: SendOptions & { timeout?: number; raw: true }): Promise<Message>
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
  call(queue: string, body: Body, options?: SendOptions & { timeout?: number; raw?: false }): Promise<any>
  async call(
    queue: string,
    body: Body,
    options: SendOptions & { timeout?: number; raw?: boolean } = {},
  ): Promise<unknown> {
    if (this.#caller === undefined || !this.#caller.isOpen) {
      this.#caller = new Caller(native.openChannel(this.#native), this.#door)
    }
    return this.#caller.call(this, queue, body, options)
  }

  /**
   * Answers calls: `handler` gets the request's value and the message, and returns the reply's body or a
   * promise of it. What it throws is told to the caller. Declares the queue unless it is there.
   * @param options.prefetch how many requests are handled at once. Default 100
   * @param options.durable whether the queue, when it is declared, survives the broker. Default false
   * @returns the server, once it can be called
   * @example
   * ```ts
   * await mq.serve('fib', async ({ n }) => fib(n))
   * ```
   */
  serve(queue: string, handler: Reply, options: ServeOptions = {}): Promise<Server> {
    return Server.start(this.#door, queue, handler, options)
  }

  async #fetch(): Promise<Settler> {
    const settler = this.#fetching
    if (settler !== undefined && native.isChannelOpen(settler.channel)) return settler
    const channel = await native.openChannel(this.#native)
    this.#fetching = new Settler(channel, (error) => this.#report(error))
    return this.#fetching
  }

  /** Closes it, and all that came from it. What was acknowledged is handed over before. Closing twice is no error. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await Promise.resolve() // `closing` is true from here on
    flushAll()
    await native.closeConnection(this.#native)
    this.#closedBy(undefined)
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
