import { ofStream, queueArguments } from './arguments'
import type { Body } from './body'
import { Consumer, type Handler } from './consumer'
import { Destination } from './destination'
import type { Door } from './door'
import type { Exchange } from './exchange'
import { Message, Slab } from './message'
import { native, type QueueDeclared } from './native'
import type {
  BatchReceipt,
  ConsumeOptions,
  Fields,
  QueueInfo,
  QueueOptions,
  Receipt,
  SendOptions,
} from './options'

/**
 * A queue that was declared. Handles are cheap and independent; `durable` of the handle decides whether what
 * it sends is persistent.
 */
export class Queue {
  /** Its name; made up by the broker when it was declared without. */
  readonly name: string
  /** Messages that were ready when it was declared. */
  readonly messageCount: number
  /** Consumers that it had when it was declared. */
  readonly consumerCount: number

  readonly #door: Door
  readonly #destination: Destination
  readonly #stream: boolean

  /**
   * Sends a message to the queue.
   *
   * The promise may be left alone: publishing is bounded all the same. The embedded broker takes messages at
   * once; when they fill 40% of the machine's memory, promises wait for consumers, and when 65 536 wait, further
   * sends reject with `BACKPRESSURE`. As with any promise, a rejection that nobody handles is an
   * `unhandledRejection`; nothing is lost silently.
   *
   * @param body bytes as they are, a string as text, everything else as JSON; see {@link Body}
   * @returns what happened: for this queue, `routed` is false only if it has been deleted
   * @throws `INVALID_ARGUMENT` for what has no exact JSON form, naming the place; `BACKPRESSURE`; `CLOSED`
   */
  readonly send: (body: Body, options?: SendOptions) => Promise<Receipt>

  private constructor(door: Door, declared: QueueDeclared, durable: boolean, stream: boolean) {
    this.name = declared.name
    this.messageCount = declared.messages
    this.consumerCount = declared.consumers
    this.#door = door
    this.#stream = stream
    this.#destination = new Destination(door, '', `queue '${declared.name}'`, durable)
    this.send = this.#destination.sender(declared.name) as Queue['send']
  }

  /** @internal */
  static async declare(door: Door, name: string, options: QueueOptions): Promise<Queue> {
    const { durable = false, exclusive = false, autoDelete = false, passive = false } = options
    const args = queueArguments(options)
    const declared = await door.control.run((channel) =>
      native.declareQueue(channel, name, passive, durable, exclusive, autoDelete, args),
    )
    return new Queue(door, declared, durable, ofStream(args))
  }

  /**
   * Sends messages in order, with one receipt for all: the fastest way to send many.
   * @throws as {@link send}; then none may be assumed to have been sent
   */
  sendMany(bodies: Iterable<Body>, options?: SendOptions): Promise<BatchReceipt> {
    return this.#destination.publishMany(this.name, bodies, options)
  }

  /**
   * Receives messages: iterate over what it returns, or give a handler, which must acknowledge each.
   * Each consumer has a channel of its own, unless the queue came from a `Channel`.
   */
  consume(options?: ConsumeOptions): Consumer
  consume(handler: Handler): Consumer
  consume(options: ConsumeOptions, handler: Handler): Consumer
  consume(options: ConsumeOptions | Handler = {}, handler?: Handler): Consumer {
    if (typeof options === 'function') return this.consume({}, options)
    return new Consumer(this.#door, this.name, { ...options, stream: this.#stream }, handler)
  }

  /**
   * Fetches one message, or null when none is ready. For more than the odd one, {@link consume} is faster.
   * @param options.noAck it counts as done at once (default false)
   */
  async get(options: { noAck?: boolean } = {}): Promise<Message | null> {
    const noAck = options.noAck === true
    const settler = await this.#door.fetching()
    settler.flush()
    const record = await native.get(settler.channel, this.name, noAck)
    if (record === undefined) return null
    const slab = Slab.of(record, noAck ? undefined : settler)
    if (!noAck) settler.handedOut(slab.tag(0))
    return new Message(slab, 0)
  }

  /** Binds it to an exchange, from which it then gets what matches. */
  async bind(exchange: Exchange | string, routingKey = '', args?: Fields): Promise<void> {
    const source = typeof exchange === 'string' ? exchange : exchange.name
    await this.#door.control.run((channel) => native.bind(channel, true, this.name, source, routingKey, args))
  }

  /** Removes a binding, given as for {@link bind}. That there is none is no error. */
  async unbind(exchange: Exchange | string, routingKey = '', args?: Fields): Promise<void> {
    const source = typeof exchange === 'string' ? exchange : exchange.name
    await this.#door.control.run((channel) =>
      native.unbind(channel, true, this.name, source, routingKey, args),
    )
  }

  /** Drops what is ready; how many messages that were. */
  purge(): Promise<number> {
    return this.#door.control.run((channel) => native.purgeQueue(channel, this.name))
  }

  /**
   * Deletes the queue; how many messages were ready.
   * @throws `PRECONDITION_FAILED` when it has consumers (with `ifUnused`) or messages (with `ifEmpty`)
   */
  delete(options: { ifUnused?: boolean; ifEmpty?: boolean } = {}): Promise<number> {
    const { ifUnused = false, ifEmpty = false } = options
    return this.#door.control.run((channel) => native.deleteQueue(channel, this.name, ifUnused, ifEmpty))
  }

  /** What it holds now. */
  async info(): Promise<QueueInfo> {
    const { name, messages, consumers } = await this.#door.control.run((channel) =>
      native.declareQueue(channel, this.name, true, false, false, false, undefined),
    )
    return { name, messageCount: messages, consumerCount: consumers }
  }
}
