import { endClosed } from './consumer'
import type { Door } from './door'
import { Exchange } from './exchange'
import { Lane } from './lane'
import type { Message } from './message'
import { type NativeChannel, native } from './native'
import type { ExchangeOptions, ExchangeType, QueueOptions } from './options'
import { Queue } from './queue'
import { Settler } from './settler'

/**
 * One AMQP channel: the unit of order, of prefetch and of errors. Queues and exchanges that come from it act
 * on it, consumers included. An error of the broker's closes it, as AMQP has it; then open another.
 *
 * Most programs need none: a connection takes care of its own.
 */
export class Channel implements AsyncDisposable {
  readonly #channel: NativeChannel
  readonly #door: Door
  #closing = false
  #transactional = false

  /** @internal */
  constructor(channel: NativeChannel, connection: Door) {
    const lane = new Lane(undefined, channel)
    const settler = new Settler(channel, (error) => connection.report(error))
    const closing = () => this.#closing || connection.closing
    this.#channel = channel
    this.#settler = settler
    this.#door = {
      control: lane,
      publishing: lane,
      fetching: async () => settler,
      consuming: async (prefetch) => {
        if (prefetch !== undefined) await native.prefetch(channel, prefetch, false)
        return { settler, own: false }
      },
      get closing() {
        return closing()
      },
      report: (error) => connection.report(error),
      returned: (message: Message) => connection.returned(message),
    }
  }

  readonly #settler: Settler

  /** Whether it can still be used. */
  get isOpen(): boolean {
    return native.isChannelOpen(this.#channel)
  }

  /** As `Connection.queue`. */
  queue(name = '', options: QueueOptions = {}): Promise<Queue> {
    return Queue.declare(this.#door, name, options)
  }

  /** As `Connection.exchange`. */
  exchange(name: string, type: ExchangeType = 'direct', options: ExchangeOptions = {}): Promise<Exchange> {
    return Exchange.declare(this.#door, name, type, options)
  }

  /**
   * Limits what may be unacknowledged.
   * @param count 0 (no limit) to 65 535
   * @param options.global for the channel as a whole, rather than for each consumer to come (default false)
   */
  async prefetch(count: number, options: { global?: boolean } = {}): Promise<void> {
    await native.prefetch(this.#channel, count, options.global === true)
  }

  /** Has everything that is unacknowledged on this channel delivered again. */
  async recover(): Promise<void> {
    this.#settler.forget()
    await native.recover(this.#channel)
  }

  /**
   * Does `work` in a transaction: what it publishes and acknowledges on this channel takes effect together when
   * its promise resolves, or when it is rejected not at all; then what it acknowledged is unacknowledged again:
   * acknowledge it anew, or have it delivered again with {@link recover}. What it publishes has a receipt that is
   * not `confirmed`, and `mandatory` has no effect. Once used, the channel acts in transactions only.
   * @returns what `work` returned
   * @throws what `work` threw; as {@link txSelect}
   * @example
   * ```ts
   * await channel.transaction(async () => {
   *   await done.send(task.text())
   *   task.ack()
   * })
   * ```
   */
  async transaction<T>(work: () => T | Promise<T>): Promise<T> {
    if (!this.#transactional) await this.txSelect()
    let result: T
    try {
      result = await work()
    } catch (error) {
      await this.txRollback().catch(() => {}) // `error` says more; a channel that is closed has rolled back
      throw error
    }
    await this.txCommit()
    return result
  }

  /**
   * From now on, what is published and acknowledged on this channel waits for {@link txCommit}.
   * @throws `PRECONDITION_FAILED`, which closes the channel, if something was published on it before: AMQP has
   * confirms and transactions exclude each other
   */
  async txSelect(): Promise<void> {
    this.#settler.flush()
    await native.txSelect(this.#channel)
    this.#transactional = true
  }

  /**
   * Has all that was published and acknowledged since the last commit or rollback take effect.
   * @returns the places, from 0, of the messages that no queue took
   * @throws `PRECONDITION_FAILED` without {@link txSelect}; over `local:`, when the process that hosted the broker was
   * killed, `NACKED` where nothing took effect, and `TIMEOUT` where that is not known: the channel goes on
   */
  async txCommit(): Promise<number[]> {
    this.#settler.flush()
    let rolledBack = true
    try {
      const unrouted = await native.txCommit(this.#channel)
      rolledBack = false
      return unrouted
    } finally {
      this.#settler.endTransaction(rolledBack)
    }
  }

  /**
   * Forgets what was published and acknowledged since the last commit or rollback; what was acknowledged is
   * unacknowledged again.
   * @throws `PRECONDITION_FAILED` without {@link txSelect}
   */
  async txRollback(): Promise<void> {
    this.#settler.flush()
    await native.txRollback(this.#channel)
    this.#settler.endTransaction(true)
  }

  /** Closes it; what was not acknowledged goes back. Closing twice is no error. */
  async close(): Promise<void> {
    this.#closing = true
    if (this.isOpen) this.#settler.flush()
    await native.closeChannel(this.#channel)
    endClosed()
  }

  /** As {@link close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
