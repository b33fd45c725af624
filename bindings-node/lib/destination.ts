// The way of a message from a program into the native half.

import { CONTENT_TYPES, encodeBody, type Kind, kindOf } from './body'
import type { Door } from './door'
import { WarrenError } from './errors'
import { Message, Slab } from './message'
import { type Answer, type NativeChannel, native, type Outcome } from './native'
import type { BatchReceipt, PublishOptions, Receipt, SendOptions } from './options'

const ROUTED: Receipt = Object.freeze({ confirmed: true, routed: true })
const UNROUTED: Receipt = Object.freeze({ confirmed: true, routed: false })
/** In a transaction: its commit tells. */
const HELD: Receipt = Object.freeze({ confirmed: false, routed: true })
/** One for all: to make a promise would cost more than the embedded broker's part of it. */
const ROUTED_NOW = Promise.resolve(ROUTED)
const UNROUTED_NOW = Promise.resolve(UNROUTED)
const HELD_NOW = Promise.resolve(HELD)

/** After so many publishes, whoever awaits them lets the event loop go round: consumers here have to run. */
const BREATH = 256
let sent = 0

function atOnce(receipt: Receipt): Promise<Receipt> {
  if (++sent % BREATH === 0) return new Promise((resolve) => setImmediate(resolve, receipt))
  if (receipt === HELD) return HELD_NOW
  return receipt.routed ? ROUTED_NOW : UNROUTED_NOW
}

function receiptOf(outcome: Outcome): Receipt {
  if (outcome === undefined) return ROUTED
  return outcome ? HELD : UNROUTED
}

const NO_PROPERTIES = Buffer.from([0, 0])

/** Bodies from this size on are handed over one by one: a copy would cost more than the call that it spares. */
const ALONE = 8 << 10

/** The same bodies in order, with short ones that stand together in one array. */
function joined(bodies: Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let run: Uint8Array[] = []
  const join = () => {
    if (run.length > 0) pieces.push(Buffer.concat(run))
    run = []
  }
  for (const body of bodies) {
    if (body.length < ALONE) {
      run.push(body)
      continue
    }
    join()
    pieces.push(body)
  }
  join()
  return pieces
}

/** An exchange, with how messages to it are encoded. */
export class Destination {
  readonly #door: Door
  readonly #exchange: string
  readonly #entity: string
  readonly #persistent: boolean
  /** Encoded properties of messages without options, by kind of body. */
  readonly #plain: (Uint8Array | undefined)[]

  constructor(door: Door, exchange: string, entity: string, persistent: boolean) {
    this.#door = door
    this.#exchange = exchange
    this.#entity = entity
    this.#persistent = persistent
    this.#plain = CONTENT_TYPES.map((type) =>
      type || persistent ? native.encodeProperties(undefined, type, persistent) : undefined,
    )
  }

  properties(kind: Kind, options: SendOptions | undefined): Uint8Array | undefined {
    if (options === undefined) return this.#plain[kind]
    return native.encodeProperties(options, CONTENT_TYPES[kind], this.#persistent)
  }

  /** A function that sends to one routing key, made for sending many messages. */
  sender(routingKey: string): (body: unknown, options: SendOptions | undefined) => Promise<Receipt> {
    const lane = this.#door.publishing
    let channel: NativeChannel | undefined
    let publish: (body: Uint8Array, properties?: Uint8Array) => Answer<Outcome>
    return (body, options) => {
      try {
        if (channel !== lane.channel || channel === undefined) {
          if (lane.channel === undefined) return this.#publishLater(routingKey, body, options)
          publish = native.publisher(lane.channel, this.#exchange, routingKey)
          channel = lane.channel
        }
        const kind = kindOf(body)
        const outcome = publish(encodeBody(body, kind), this.properties(kind, options))
        if (outcome === undefined) return atOnce(ROUTED)
        return outcome instanceof Promise ? this.#receipt(outcome) : atOnce(receiptOf(outcome))
      } catch (error) {
        if (lane.replaces(error)) return this.#publishLater(routingKey, body, options)
        return Promise.reject(error)
      }
    }
  }

  publish(routingKey: string, body: unknown, options: PublishOptions | undefined): Promise<Receipt> {
    const lane = this.#door.publishing
    try {
      if (lane.channel === undefined) return this.#publishLater(routingKey, body, options)
      const kind = kindOf(body)
      const bytes = encodeBody(body, kind)
      const properties = this.properties(kind, options)
      const mandatory = options?.mandatory === true
      const outcome = native.publish(lane.channel, this.#exchange, routingKey, mandatory, bytes, properties)
      if (mandatory) return this.#demand(outcome, routingKey, bytes, properties)
      if (outcome === undefined) return atOnce(ROUTED)
      return outcome instanceof Promise ? this.#receipt(outcome) : atOnce(receiptOf(outcome))
    } catch (error) {
      if (lane.replaces(error)) return this.#publishLater(routingKey, body, options)
      return Promise.reject(error)
    }
  }

  async #publishLater(
    routingKey: string,
    body: unknown,
    options: PublishOptions | undefined,
  ): Promise<Receipt> {
    await this.#door.publishing.open()
    return this.publish(routingKey, body, options)
  }

  async #demand(
    outcome: Answer<Outcome>,
    routingKey: string,
    body: Uint8Array,
    properties: Uint8Array = NO_PROPERTIES,
  ): Promise<Receipt> {
    const copy = outcome instanceof Promise ? Buffer.from(body) : body // the program may reuse its buffer
    const receipt = outcome instanceof Promise ? await this.#receipt(outcome) : receiptOf(outcome)
    if (receipt.routed) return receipt
    const record = native.record(this.#exchange, routingKey, properties, copy)
    const returned = new Message(Slab.of(record, undefined), 0)
    this.#door.returned(returned)
    const error = new WarrenError(
      'NO_ROUTE',
      'basic.publish',
      `no queue took the message with routing key '${routingKey}'`,
      {
        entity: this.#entity,
        advice: 'declare the queue or the binding first, or publish without mandatory',
      },
    )
    throw Object.assign(error, { returned })
  }

  async publishMany(
    routingKey: string,
    bodies: Iterable<unknown>,
    options: SendOptions | undefined,
  ): Promise<BatchReceipt> {
    const encoded: Uint8Array[] = []
    const shape: number[] = []
    const kinds = new Set<Kind>()
    for (const body of bodies) {
      const kind = kindOf(body)
      const bytes = encodeBody(body, kind)
      kinds.add(kind)
      encoded.push(bytes)
      shape.push(bytes.length, kind)
    }
    const properties = CONTENT_TYPES.map((_, kind) =>
      kinds.has(kind) ? (this.properties(kind, options) ?? NO_PROPERTIES) : NO_PROPERTIES,
    )
    const lane = this.#door.publishing
    // What is not handed over at once is copied, as the program may reuse its buffers.
    const pieces = lane.ready ? joined(encoded) : [Buffer.concat(encoded)]
    const unrouted = await lane.run((channel) =>
      native.publishMany(channel, this.#exchange, routingKey, pieces, Uint32Array.from(shape), properties),
    )
    if (unrouted === true) return { confirmed: 0, unrouted: [] }
    return { confirmed: encoded.length, unrouted: unrouted ?? [] }
  }

  async #receipt(outcome: Promise<Outcome>): Promise<Receipt> {
    try {
      return receiptOf(await outcome)
    } catch (error) {
      this.#door.publishing.failed()
      throw error
    }
  }
}
