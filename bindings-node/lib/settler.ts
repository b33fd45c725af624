// Acknowledgements are kept here and handed over in batches: with the next take, when the event loop comes
// round, on close, and when the process ends. One native call each would cost more than all the rest of a message.

import { WarrenError } from './errors'
import { How, type NativeChannel, native } from './native'

const CAPACITY = 1024
const dirty = new Set<Settler>()
let scheduled = false

/** Hands over every acknowledgement that is kept. */
export function flushAll(): void {
  scheduled = false
  for (const settler of dirty) settler.flush()
}

/** Settles the deliveries of one channel. */
export class Settler {
  readonly #tags = new Float64Array(CAPACITY)
  #count = 0
  /** All tags up to here are settled. */
  #settled = 0
  #newest = 0
  /** Deliveries that the program has and did not settle; unknown (NaN) after one call settled several. */
  #outstanding = 0
  #drained: (() => void) | undefined
  #mark = 1
  /** Marks of transactions that were rolled back; in need only once there is one. */
  #undone: Set<number> | undefined
  /** What `#settled` was at the last commit or rollback. */
  #settledBefore = 0

  /** @param report hears of acknowledgements that the broker did not take */
  constructor(
    readonly channel: NativeChannel,
    readonly report: (error: unknown) => void,
  ) {}

  /** What a message is marked with that is settled now: the number of the transaction, from 1. */
  get mark(): number {
    return this.#mark
  }

  /** Whether what has this mark (0 for none) is settled: not if that was in a transaction that was rolled back. */
  isSettled(mark: number): boolean {
    return mark !== 0 && this.#undone?.has(mark) !== true
  }

  /** A transaction ends. When it was rolled back, what it settled is unsettled again. */
  endTransaction(rolledBack: boolean): void {
    if (rolledBack) {
      this.#undone ??= new Set()
      this.#undone.add(this.#mark)
      this.#settled = this.#settledBefore
    }
    this.#mark++
    this.#settledBefore = this.#settled
  }

  /** A delivery was given to the program. */
  handedOut(tag: number): void {
    this.#outstanding++
    this.#newest = tag
  }

  /** Has `then` called when the program has settled all that it was given; at once if it has. */
  whenDrained(then: () => void): void {
    if (this.#outstanding === 0) then()
    else this.#drained = then
  }

  /** Everything that was delivered so far goes back: its tags are void. */
  forget(): void {
    this.flush()
    this.#settled = this.#newest
    this.#outstanding = 0
  }

  settle(tag: number, how: How, multiple: boolean): void {
    if (tag <= this.#settled) throw settledAlready()
    if (multiple) {
      this.#settled = tag
      this.#outstanding = tag === this.#newest ? 0 : Number.NaN
    } else {
      this.#outstanding--
    }
    if (how !== How.Ack) this.flush()
    if (this.#count === 0) {
      dirty.add(this)
      if (!scheduled) {
        scheduled = true
        setImmediate(flushAll)
      }
    }
    this.#tags[this.#count++] = multiple ? -tag : tag
    if (how !== How.Ack) this.#hand(how)
    else if (this.#count === CAPACITY) this.flush()
    if (this.#outstanding === 0 && this.#drained) {
      this.flush()
      this.#drained()
      this.#drained = undefined
    }
  }

  /** Puts off when a delivery must be acknowledged; that it could not be is reported. */
  extend(tag: number, milliseconds: number): void {
    if (tag <= this.#settled) throw settledAlready()
    const answer = native.extend(this.channel, tag, milliseconds)
    if (answer instanceof Promise) answer.catch(this.report)
  }

  /** Hands over what is kept. */
  flush(): void {
    if (this.#count > 0) this.#hand(How.Ack)
  }

  #hand(how: How): void {
    const count = this.#count
    this.#count = 0
    dirty.delete(this)
    try {
      native.settle(this.channel, this.#tags, count, how)
    } catch (error) {
      this.report(error)
    }
  }
}

export function settledAlready(): WarrenError {
  return new WarrenError('PRECONDITION_FAILED', 'basic.ack', 'this message has been settled already', {
    advice: 'settle each message once',
  })
}
