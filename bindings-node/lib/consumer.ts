import { consumerArguments, readsStream } from './arguments'
import type { Door } from './door'
import { isClosed } from './errors'
import { Message, Slab } from './message'
import { type Feed, How, native } from './native'
import type { ConsumeOptions } from './options'
import type { Settler } from './settler'

/** Hears of each message. What it throws has the message put back once; see {@link Consumer}. */
export type Handler = (message: Message) => unknown

const SLAB_SIZE = 64 * 1024

/** Those that run, which keeps them from being collected. */
const running = new Map<number, Consumer>()
let lastNumber = 0

/** Called by the native half when consumers that found nothing have something again. */
export function ready(numbers: number[]): void {
  for (const number of numbers) running.get(number)?.wake()
}

/** Ends those whose connection or channel is no more; quietly, unless there is an error. */
export function endClosed(error?: unknown): void {
  for (const consumer of running.values()) consumer.endIfClosed(error)
}

/** When deliveries are fetched. Once per turn of the event loop at most, so that everything else can run too. */
const enum State {
  /** They may be fetched. */
  Free,
  /** They were fetched in this turn. */
  Resting,
  /** There were none; the native half tells when there are. */
  Idle,
  /** The consumer is not registered yet, or has ended. */
  Off,
}

interface InternalOptions extends ConsumeOptions {
  /** Does not keep the process alive. */
  background?: boolean
  /** The queue was declared as a stream. */
  stream?: boolean
}

interface Taker {
  resolve(message: Message | undefined): void
  reject(error: unknown): void
}

/**
 * Receives messages from a queue: iterate over it, `get` one at a time, or give `consume` a handler.
 *
 * Leaving the loop cancels the consumer and puts back what was not acknowledged. A consumer keeps the process
 * alive until it is cancelled.
 *
 * With a handler, up to `prefetch` messages are handled at once. When it throws, or its promise is rejected,
 * the message is put back if this was its first delivery, and rejected (dead-lettered or dropped) if not (one of a
 * stream stays there as it was, and the next comes); the error goes to the connection's `error` event, or is shown as a process warning if nobody listens.
 *
 * @example
 * ```ts
 * for await (const message of tasks.consume({ prefetch: 200 })) {
 *   await work(message.json())
 *   message.ack()
 * }
 * ```
 */
export class Consumer implements AsyncIterableIterator<Message>, AsyncDisposable {
  /** Resolves when the broker has registered it; rejects with the reason when it refused to. */
  readonly started: Promise<void>

  readonly #number = ++lastNumber
  readonly #door: Door
  readonly #handler: Handler | undefined
  readonly #takers: Taker[] = []
  #feed: Feed | undefined
  #settler: Settler | undefined
  #ownChannel = false
  readonly #noAck: boolean
  readonly #background: boolean
  /** It reads a stream, where messages stay and none can be put back. */
  #stream = false
  #state = State.Off
  #slab = new Slab(Buffer.alloc(0), undefined)
  #at = 0
  #end = 0
  #over = false
  #error: unknown
  #ending: Promise<void> | undefined

  /** @internal */
  constructor(door: Door, queue: string, options: InternalOptions, handler: Handler | undefined) {
    this.#door = door
    this.#handler = handler
    this.#noAck = options.noAck === true
    this.#background = options.background === true
    this.started = this.#start(queue, options)
    // Whoever iterates or awaits `started` hears of a failure; nobody else is to be crashed by it.
    this.started.catch(() => {})
  }

  /** The consumer's tag; empty until it is {@link started}, if the broker makes it up. */
  get tag(): string {
    return this.#feed?.tag ?? ''
  }

  async #start(queue: string, options: InternalOptions): Promise<void> {
    running.set(this.#number, this)
    if (!this.#background) native.hold()
    try {
      const { settler, own } = await this.#door.consuming(options.prefetch)
      this.#settler = settler
      this.#ownChannel = own
      const { tag = '', exclusive = false } = options
      const args = consumerArguments(options, options.stream === true)
      this.#stream = readsStream(args)
      this.#feed = await native.consume(
        settler.channel,
        queue,
        tag,
        this.#noAck,
        exclusive,
        args,
        this.#number,
      )
    } catch (error) {
      this.#finish(error)
      throw error
    }
    this.#rest()
  }

  /** @internal */
  wake(): void {
    if (this.#state === State.Idle) this.#state = State.Free
    this.#fetch()
  }

  /** @internal */
  endIfClosed(error: unknown): void {
    if (this.#door.closing) this.#finish(error)
  }

  #rest(): void {
    this.#state = State.Resting
    setImmediate(() => {
      if (this.#state !== State.Resting) return
      this.#state = State.Free
      this.#fetch()
    })
  }

  /** Fetches deliveries if they are wanted and may be, and hands them out. */
  #fetch(): void {
    if (this.#state !== State.Free) return
    if (this.#handler === undefined && this.#takers.length === 0) return
    this.#settler?.flush()
    try {
      if (!this.#take()) {
        this.#state = State.Idle
        return
      }
    } catch (error) {
      this.#finish(error)
      return
    }
    this.#rest()
    const handler = this.#handler
    if (handler === undefined) {
      while (this.#takers.length > 0 && this.#available) (this.#takers.shift() as Taker).resolve(this.#next())
    } else {
      // The handler may end the consumer, and then gets no more.
      while (this.#available) this.#handle(handler, this.#next())
    }
  }

  /** Has the native half fill the slab; false when nothing was there. */
  #take(): boolean {
    const feed = this.#feed as Feed
    let slab = this.#slab
    let end = feed.take(slab.bytes, this.#end)
    if (end < 0) {
      // Messages that the program keeps look into the old slab, so it is left to them.
      const settler = this.#noAck ? undefined : this.#settler
      slab = new Slab(Buffer.allocUnsafeSlow(Math.max(SLAB_SIZE, -end)), settler)
      this.#slab = slab
      this.#at = this.#end = 0
      end = feed.take(slab.bytes, 0)
    }
    const some = end > this.#end
    this.#end = end
    return some
  }

  /** Whether there are fetched messages to hand out. */
  get #available(): boolean {
    return this.#at < this.#end && this.#ending === undefined && !this.#over
  }

  #next(): Message {
    const message = new Message(this.#slab, this.#at)
    if (!this.#noAck) this.#settler?.handedOut(this.#slab.tag(this.#at))
    this.#at += this.#slab.size(this.#at)
    return message
  }

  #handle(handler: Handler, message: Message): void {
    try {
      const result = handler(message)
      if (result instanceof Promise) result.catch((error) => this.#failed(message, error))
    } catch (error) {
      this.#failed(message, error)
    }
  }

  #failed(message: Message, error: unknown): void {
    try {
      if (!this.#noAck && !message.settled) {
        if (this.#stream) message.ack()
        else message.nack({ requeue: !message.redelivered })
      }
    } catch (unsettled) {
      this.#door.report(unsettled)
    }
    this.#door.report(error)
  }

  /** The next message; `undefined` when there are no more. */
  #wait(signal?: (taker: Taker) => void): Promise<Message | undefined> {
    return new Promise((resolve, reject) => {
      const taker = { resolve, reject }
      this.#takers.push(taker)
      this.#fetch()
      if (this.#over || this.#ending !== undefined) this.#dismiss()
      else signal?.(taker)
    })
  }

  /** The next message. Part of iteration. */
  next(): Promise<IteratorResult<Message, undefined>> {
    if (this.#available && this.#takers.length === 0) {
      return Promise.resolve({ value: this.#next(), done: false })
    }
    return this.#wait().then((value) => (value ? { value, done: false } : { value, done: true }))
  }

  /**
   * Waits for one message.
   * @param options.timeout how long, in milliseconds; for ever if it is not given
   * @returns null when the time ran out, or the consumer was cancelled
   * @throws `CLOSED` when the broker ended the consumer
   */
  async get(options: { timeout?: number } = {}): Promise<Message | null> {
    if (this.#available && this.#takers.length === 0) return this.#next()
    if (this.#state === State.Off && !this.#over) await this.started
    const { timeout } = options
    let timer: NodeJS.Timeout | undefined
    const message = await this.#wait((taker) => {
      if (timeout === undefined) return
      timer = setTimeout(() => {
        const place = this.#takers.indexOf(taker)
        if (place < 0) return
        this.#takers.splice(place, 1)
        taker.resolve(undefined)
      }, timeout)
    })
    clearTimeout(timer)
    return message ?? null
  }

  /**
   * Ends the consumer. What it did not hand out goes back to the queue; what it did can still be settled.
   * Cancelling twice is no error.
   */
  cancel(): Promise<void> {
    this.#ending ??= this.#cancel(false)
    return this.#ending
  }

  /** Ends the consumer, and puts back all that was not acknowledged. Part of iteration: leaving the loop. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#ending ??= this.#cancel(true)
    await this.#ending
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** As {@link cancel}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.cancel()
  }

  async #cancel(everything: boolean): Promise<void> {
    await this.started.catch(() => {})
    const feed = this.#feed
    const settler = this.#settler
    if (this.#over || !feed || !settler) return
    this.#state = State.Off
    try {
      settler.flush()
      await native.cancel(feed.consumer)
      if (!this.#noAck) this.#putBack(settler)
    } catch (error) {
      if (!isClosed(error)) throw error // with the channel, everything went back
    } finally {
      this.#finish(undefined)
    }
    if (!this.#ownChannel) return
    const close = () => native.closeChannel(settler.channel)
    if (everything || this.#noAck) await close()
    else settler.whenDrained(() => Promise.resolve(close()).catch((error) => this.#door.report(error)))
  }

  /** Gives back what was fetched and not handed out. */
  #putBack(settler: Settler): void {
    const tags: number[] = []
    try {
      do {
        for (; this.#at < this.#end; this.#at += this.#slab.size(this.#at))
          tags.push(this.#slab.tag(this.#at))
      } while (this.#take())
    } catch (error) {
      if (!isClosed(error)) throw error // there is no more
    }
    if (tags.length === 0 || this.#stream) return
    native.settle(settler.channel, Float64Array.from(tags), tags.length, How.Requeue)
  }

  #finish(error: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#state = State.Off
    running.delete(this.#number)
    if (!this.#background) native.release()
    const quiet = this.#ending !== undefined || (this.#door.closing && isClosed(error))
    this.#error = quiet ? undefined : error
    if (this.#handler !== undefined && this.#error !== undefined) this.#door.report(this.#error)
    this.#dismiss()
  }

  /** Tells those who wait that nothing comes any more. */
  #dismiss(): void {
    for (const taker of this.#takers.splice(0)) {
      if (this.#error === undefined) taker.resolve(undefined)
      else taker.reject(this.#error)
    }
    this.#error = undefined // told once; after it the iteration is over
  }
}
