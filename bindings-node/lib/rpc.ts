// Remote calls over RabbitMQ's direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to).

import { Consumer } from './consumer'
import { Destination } from './destination'
import type { Door } from './door'
import { isClosed, WarrenError } from './errors'
import { Lane } from './lane'
import type { Message } from './message'
import { type Answer, type NativeChannel, native } from './native'
import type { SendOptions } from './options'
import { Settler } from './settler'

const REPLY_QUEUE = 'amq.rabbitmq.reply-to'
const DEFAULT_TIMEOUT = 30_000
const DEFAULT_PREFETCH = 100
/** What a declaration fails with when the queue is there, of another kind, or nothing for us to declare. */
const ANOTHERS = new Set(['PRECONDITION_FAILED', 'ACCESS_REFUSED'])

interface Pending {
  queue: string
  raw: boolean
  /** The connection, which is not to be collected, and so closed, before the reply has come. */
  holder: unknown
  timer: NodeJS.Timeout
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** The calling side: one channel, on which requests go out and replies come in. */
export class Caller {
  readonly #pending = new Map<string, Pending>()
  readonly #started: Promise<Destination>
  #channel: NativeChannel | undefined
  #last = 0

  constructor(opening: Answer<NativeChannel>, door: Door) {
    this.#started = this.#start(opening, door)
    this.#started.catch(() => {}) // those who call hear of it
  }

  async #start(opening: Answer<NativeChannel>, door: Door): Promise<Destination> {
    const channel = await opening
    this.#channel = channel
    const settler = new Settler(channel, () => {}) // nothing is acknowledged
    const lane = new Lane(undefined, channel)
    const consuming = async () => ({ settler, own: true })
    const own: Door = {
      control: lane,
      publishing: lane,
      fetching: async () => settler,
      consuming,
      get closing() {
        return door.closing
      },
      report: () => {}, // the calls' errors say it
      returned: () => {}, // and here
    }
    // Calls under way keep the process alive by their timers; the consumer alone does not.
    const options = { noAck: true, background: true }
    await new Consumer(own, REPLY_QUEUE, options, (reply) => this.#answered(reply)).started
    return new Destination(own, '', '', false)
  }

  get isOpen(): boolean {
    return this.#channel === undefined || native.isChannelOpen(this.#channel)
  }

  async call(
    holder: unknown,
    queue: string,
    body: unknown,
    options: SendOptions & { timeout?: number; raw?: boolean },
  ): Promise<unknown> {
    const { timeout = DEFAULT_TIMEOUT, raw = false } = options
    const destination = await this.#started
    const correlationId = String(++this.#last)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#expired(correlationId, timeout), timeout)
      this.#pending.set(correlationId, { queue, raw, holder, timer, resolve, reject })
      const properties = { ...options, correlationId, replyTo: REPLY_QUEUE, mandatory: true }
      destination.publish(queue, body, properties).catch((error) => {
        this.#take(correlationId)?.reject(unrouted(error, queue))
      })
    })
  }

  #take(correlationId: string | undefined): Pending | undefined {
    if (correlationId === undefined) return undefined
    const pending = this.#pending.get(correlationId)
    this.#pending.delete(correlationId)
    clearTimeout(pending?.timer)
    return pending
  }

  #answered(reply: Message): void {
    const pending = this.#take(reply.correlationId)
    if (pending === undefined) return // too late
    try {
      if (reply.properties.type === 'error') pending.reject(remoteError(reply, pending.queue))
      else pending.resolve(pending.raw ? reply : reply.value())
    } catch (error) {
      pending.reject(error)
    }
  }

  #expired(correlationId: string, timeout: number): void {
    const pending = this.#take(correlationId)
    pending?.reject(
      new WarrenError('TIMEOUT', 'call', `no reply within ${timeout} ms`, {
        entity: `queue '${pending.queue}'`,
        advice: 'see that a server runs, or allow more time',
      }),
    )
  }

  close(reason: WarrenError | undefined): void {
    for (const correlationId of [...this.#pending.keys()]) {
      const pending = this.#take(correlationId)
      pending?.reject(
        new WarrenError('CLOSED', 'call', 'the connection was closed before the reply came', {
          entity: `queue '${pending.queue}'`,
          cause: reason,
        }),
      )
    }
  }
}

function unrouted(error: unknown, queue: string): unknown {
  if (!(error instanceof WarrenError) || error.code !== 'NO_ROUTE') return error
  const { returned } = error
  const again = new WarrenError('NO_ROUTE', 'call', `there is no queue '${queue}'`, {
    entity: `queue '${queue}'`,
    advice: 'start the server first',
  })
  return Object.assign(again, { returned })
}

function remoteError(reply: Message, queue: string): WarrenError {
  const { error } = reply.json() as { error: { code?: string; message?: string } }
  return new WarrenError('REMOTE', 'call', error.message ?? 'the server gave no reason', {
    entity: `queue '${queue}'`,
    cause: error,
  })
}

/** Answers a call: gets the request's value and the message, returns the reply's body or a promise of it. */
// biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
export type Reply = (value: any, message: Message) => unknown

/** How calls are served. */
export interface ServeOptions {
  /** How many requests are handled at once, 1 to 65 535. Default 100. */
  prefetch?: number
  /** Whether the queue, when it is declared, survives the broker. Default false. */
  durable?: boolean
}

/** Answers the calls to one queue until it is closed. */
export class Server implements AsyncDisposable {
  readonly #consumer: Consumer
  readonly #replies: Destination
  readonly #handler: Reply
  readonly #door: Door

  private constructor(door: Door, queue: string, handler: Reply, prefetch: number) {
    this.#door = door
    this.#handler = handler
    this.#replies = new Destination(door, '', 'a reply', false)
    this.#consumer = new Consumer(door, queue, { prefetch }, (request) => this.#answer(request))
  }

  /** @internal */
  static async start(door: Door, queue: string, handler: Reply, options: ServeOptions): Promise<Server> {
    const { durable = false, prefetch = DEFAULT_PREFETCH } = options
    const declare = (passive: boolean) =>
      door.control.run((channel) =>
        native.declareQueue(channel, queue, passive, durable, false, false, undefined),
      )
    try {
      await declare(false) // mostly it is there as we would declare it, or not at all
    } catch (error) {
      if (!(error instanceof WarrenError) || !ANOTHERS.has(error.code)) throw error
      await declare(true)
    }
    const server = new Server(door, queue, handler, prefetch)
    await server.#consumer.started
    return server
  }

  async #answer(request: Message): Promise<void> {
    const { replyTo, correlationId } = request
    const properties = correlationId === undefined ? {} : { correlationId }
    try {
      const result = await this.#handler(request.value(), request)
      if (replyTo !== undefined) await this.#replies.publish(replyTo, result ?? null, properties)
    } catch (error) {
      if (isClosed(error)) throw error
      if (replyTo === undefined) this.#door.report(error)
      else await this.#replies.publish(replyTo, failure(error), { ...properties, type: 'error' })
    }
    if (!request.settled) request.ack()
  }

  /** Takes no more calls; those under way are still answered. */
  close(): Promise<void> {
    return this.#consumer.cancel()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}

/** What a caller is told of an error; the same shape in every language. */
function failure(error: unknown) {
  const { code, name, message } = (error instanceof Error ? error : new Error(String(error))) as Error & {
    code?: unknown
  }
  return { error: { code: typeof code === 'string' ? code : name, message } }
}
