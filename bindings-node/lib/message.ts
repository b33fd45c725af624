import { decodeJson, decodeText } from './body'
import { WarrenError } from './errors'
import { How, native } from './native'
import type { Death, Properties } from './options'
import { type Settler, settledAlready } from './settler'

/** Memory into which the native half writes deliveries, many at a time; `src/record.rs` says how they lie. */
export class Slab {
  readonly bytes: Buffer
  readonly words: Int32Array
  /** Absent where nothing is to be acknowledged. */
  readonly settler: Settler | undefined

  constructor(bytes: Buffer, settler: Settler | undefined) {
    this.bytes = bytes
    this.words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2)
    this.settler = settler
  }

  /** A slab with one message, copied because pooled buffers need not lie on a word. */
  static of(record: Buffer, settler: Settler | undefined): Slab {
    const bytes = Buffer.allocUnsafeSlow(record.length)
    record.copy(bytes)
    return new Slab(bytes, settler)
  }

  size(at: number): number {
    return this.words[at >> 2] as number
  }

  tag(at: number): number {
    const word = at >> 2
    return ((this.words[word + 1] as number) >>> 0) + (this.words[word + 2] as number) * 0x1_0000_0000
  }
}

const HEAD = 24
const REDELIVERED = 1
const JSON_BODY = 2
const TEXT_BODY = 4

/**
 * A message as it was received. Its fields are read when they are asked for.
 *
 * It lies in memory that it shares with others of its batch (64 KiB): who keeps a message, or its body, keeps
 * that. Copy what is to live long: `Buffer.from(message.body)`.
 */
export class Message {
  readonly #slab: Slab
  readonly #at: number
  /** 0, or the mark of when it was settled; see {@link Settler.mark}. */
  #settled = 0
  #properties: Properties | undefined

  /** @internal */
  constructor(slab: Slab, at: number) {
    this.#slab = slab
    this.#at = at
  }

  #word(index: number): number {
    return this.#slab.words[(this.#at >> 2) + index] as number
  }

  /** Where the properties start. */
  get #middle(): number {
    return this.#at + HEAD + (this.#word(3) >>> 16)
  }

  /** The body's bytes, not copied. */
  get body(): Buffer {
    const start = this.#middle + this.#word(4)
    return this.#slab.bytes.subarray(start, start + this.#word(5))
  }

  /**
   * The body as text.
   * @throws `SYNTAX_ERROR` when it is not UTF-8
   */
  text(): string {
    return decodeText(this.body, 'message.text')
  }

  /**
   * The body as what it says in JSON, whatever the content type.
   * @throws `SYNTAX_ERROR` when it is not JSON; `INVALID_ARGUMENT` when it has a number that JavaScript would
   * round (an integer beyond ±(2^53−1)) or cannot hold
   */
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
  json(): any {
    return decodeJson(this.body)
  }

  /** The body by its content type: JSON → what it says, `text/…` → a string, all else → the bytes. */
  // biome-ignore lint/suspicious/noExplicitAny: as JSON.parse
  value(): any {
    const flags = this.#word(3)
    if (flags & JSON_BODY) return this.json()
    return flags & TEXT_BODY ? this.text() : this.body
  }

  /** The properties that are present. */
  get properties(): Properties {
    if (this.#properties === undefined) {
      const start = this.#middle
      this.#properties = native.decodeProperties(this.#slab.bytes.subarray(start, start + this.#word(4)))
    }
    return this.#properties
  }

  /** The headers; empty when there are none. */
  get headers(): NonNullable<Properties['headers']> {
    return this.properties.headers ?? {}
  }

  /**
   * How often it was delivered before and came back (the header `x-delivery-count`); 0 if the broker does not
   * count.
   */
  get deliveryCount(): number {
    const count = this.headers['x-delivery-count']
    return typeof count === 'number' ? count : 0
  }

  /** Why it was dead-lettered, the latest first (the header `x-death`); empty if it was not. */
  get deaths(): Death[] {
    const deaths = this.headers['x-death']
    return Array.isArray(deaths) ? (deaths as unknown as Death[]) : []
  }

  get contentType(): string | undefined {
    return this.properties.contentType
  }

  get correlationId(): string | undefined {
    return this.properties.correlationId
  }

  get replyTo(): string | undefined {
    return this.properties.replyTo
  }

  /** The exchange that it was published to; empty for the default one. */
  get exchange(): string {
    const start = this.#at + HEAD
    return this.#slab.bytes.toString('utf8', start + 1, start + 1 + (this.#slab.bytes[start] as number))
  }

  /** The routing key that it was published with. */
  get routingKey(): string {
    const start = this.#at + HEAD
    return this.#slab.bytes.toString('utf8', start + 2 + (this.#slab.bytes[start] as number), this.#middle)
  }

  /** Whether it was delivered before. */
  get redelivered(): boolean {
    return (this.#word(3) & REDELIVERED) !== 0
  }

  /** Its number on its channel, from 1; 0 for a message that came back as unroutable. */
  get deliveryTag(): number {
    return this.#slab.tag(this.#at)
  }

  /** Whether {@link ack}, {@link nack} or {@link reject} was called, and not rolled back. */
  get settled(): boolean {
    return this.#slab.settler?.isSettled(this.#settled) === true
  }

  /**
   * Says that it is done. Handed over to the broker in batches, within a turn of the event loop.
   * @param options.multiple with all delivered before it on its channel
   * @throws `PRECONDITION_FAILED` when it was settled before, or came without need of acknowledgement
   */
  ack(options?: { multiple?: boolean }): void {
    this.#settle(How.Ack, options?.multiple === true)
  }

  /**
   * Says that it could not be handled.
   * @param options.requeue puts it back to its place in the queue (default true); if false, it is dead-lettered
   * where the queue says so, or dropped
   * @param options.multiple with all delivered before it on its channel
   * @throws as {@link ack}
   */
  nack(options?: { requeue?: boolean; multiple?: boolean }): void {
    this.#settle(options?.requeue === false ? How.Reject : How.Requeue, options?.multiple === true)
  }

  /**
   * As {@link nack} of this one message.
   * @throws as {@link ack}
   */
  reject(options?: { requeue?: boolean }): void {
    this.#settle(options?.requeue === false ? How.Reject : How.Requeue, false)
  }

  /**
   * Puts off when it must be acknowledged. For a queue that has a `consumerTimeout`, from which a delivery that
   * takes longer goes back. Where the broker is not WarrenMQ, the connection's `error` event says `UNSUPPORTED`.
   * @param milliseconds from now, 0 to 2^53−1
   * @throws as {@link ack}
   */
  extend(milliseconds: number): void {
    this.#unsettled().extend(this.#slab.tag(this.#at), milliseconds)
  }

  #settle(how: How, multiple: boolean): void {
    const settler = this.#unsettled()
    settler.settle(this.#slab.tag(this.#at), how, multiple)
    this.#settled = settler.mark
  }

  /** The way to settle it, which it must not have gone yet. */
  #unsettled(): Settler {
    const settler = this.#slab.settler
    if (settler === undefined) {
      throw new WarrenError('PRECONDITION_FAILED', 'basic.ack', 'nothing to acknowledge: it came with noAck')
    }
    if (settler.isSettled(this.#settled)) throw settledAlready()
    return settler
  }

  /** @internal */
  [Symbol.for('nodejs.util.inspect.custom')](): unknown {
    const { exchange, routingKey, deliveryTag, redelivered, properties, body } = this
    return { exchange, routingKey, deliveryTag, redelivered, properties, body }
  }
}
