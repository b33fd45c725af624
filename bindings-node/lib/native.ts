// The native half: what it offers, and the functions that it calls.

import { join } from 'node:path'

/** Things that only the native half can look into. */
declare const brand: unique symbol
export interface NativeConnection {
  readonly [brand]: 'connection'
}
export interface NativeChannel {
  readonly [brand]: 'channel'
}
export interface NativeConsumer {
  readonly [brand]: 'consumer'
}

/** For `inproc:` the value itself, else a promise. */
export type Answer<T> = T | Promise<T>

/** `undefined`: confirmed and routed; false: confirmed, but no queue took it; true: it waits for a commit. */
export type Outcome = undefined | boolean

export interface Feed {
  consumer: NativeConsumer
  tag: string
  /** Fills `slab` from there; where the last record ends, `from` for none, minus the size of one that has no room. */
  take(slab: Uint8Array, from: number): number
}

export interface QueueDeclared {
  name: string
  messages: number
  consumers: number
}

/** How deliveries are settled. */
export const enum How {
  Ack,
  Reject,
  Requeue,
}

type Table = Record<string, unknown> | undefined

interface Native {
  setUp(
    makeError: (
      code: string,
      replyCode: number,
      message: string,
      operation: string,
      entity: string,
      reason: string,
      advice: string | undefined,
      causes: string[],
    ) => Error,
    ready: (consumers: number[]) => void,
    event: (connection: number, name: string, detail: unknown) => void,
  ): void
  version(): string
  kinds(): Record<string, number>
  cli(args: string[]): number

  connect(
    url: string,
    name: string | undefined,
    timeout: number,
    hostTimeout: number | undefined,
    listen: string[],
  ): Answer<NativeConnection>
  isOpen(connection: NativeConnection): boolean
  listen(connection: NativeConnection, address: string): Promise<string>
  listening(connection: NativeConnection): string[]
  onEvent(connection: NativeConnection, number: number): void
  closeConnection(connection: NativeConnection): Answer<void>

  openChannel(connection: NativeConnection): Answer<NativeChannel>
  isChannelOpen(channel: NativeChannel): boolean
  declareQueue(
    channel: NativeChannel,
    name: string,
    passive: boolean,
    durable: boolean,
    exclusive: boolean,
    autoDelete: boolean,
    args: Table,
  ): Answer<QueueDeclared>
  deleteQueue(channel: NativeChannel, name: string, ifUnused: boolean, ifEmpty: boolean): Answer<number>
  purgeQueue(channel: NativeChannel, name: string): Answer<number>
  declareExchange(
    channel: NativeChannel,
    name: string,
    type: string,
    passive: boolean,
    durable: boolean,
    autoDelete: boolean,
    internal: boolean,
    args: Table,
  ): Answer<void>
  deleteExchange(channel: NativeChannel, name: string, ifUnused: boolean): Answer<void>
  bind(
    channel: NativeChannel,
    isQueue: boolean,
    destination: string,
    source: string,
    routingKey: string,
    args: Table,
  ): Answer<void>
  unbind: Native['bind']
  prefetch(channel: NativeChannel, count: number, global: boolean): Answer<void>
  extend(channel: NativeChannel, tag: number, milliseconds: number): Answer<void>
  recover(channel: NativeChannel): Answer<void>
  txSelect(channel: NativeChannel): Answer<void>
  txCommit(channel: NativeChannel): Answer<number[]>
  txRollback(channel: NativeChannel): Answer<void>
  closeChannel(channel: NativeChannel): Answer<void>
  /** A negative tag goes for all up to it. */
  settle(channel: NativeChannel, tags: Float64Array, count: number, how: How): void
  get(channel: NativeChannel, queue: string, noAck: boolean): Answer<Buffer | undefined>

  publisher(
    channel: NativeChannel,
    exchange: string,
    routingKey: string,
  ): (body: Uint8Array, properties?: Uint8Array) => Answer<Outcome>
  publish(
    channel: NativeChannel,
    exchange: string,
    routingKey: string,
    mandatory: boolean,
    body: Uint8Array,
    properties?: Uint8Array,
  ): Answer<Outcome>
  /** Which were not routed; `undefined` for none, true when they wait for a commit. */
  publishMany(
    channel: NativeChannel,
    exchange: string,
    routingKey: string,
    pieces: Uint8Array[],
    lengthsAndKinds: Uint32Array,
    kinds: Uint8Array[],
  ): Answer<number[] | undefined | true>

  consume(
    channel: NativeChannel,
    queue: string,
    tag: string,
    noAck: boolean,
    exclusive: boolean,
    args: Table,
    number: number,
  ): Answer<Feed>
  cancel(consumer: NativeConsumer): Answer<void>
  /** Leaves the directories that this process hosts in good order, whoever in it has them. */
  ending(): void
  /** Keeps the event loop alive until `release` is called. */
  hold(): void
  release(): void

  encodeProperties(options: unknown, contentType: string | undefined, persistent: boolean): Buffer
  decodeProperties(encoded: Uint8Array): Record<string, unknown>
  record(exchange: string, routingKey: string, properties: Uint8Array, body: Uint8Array): Buffer
}

function load(): Native {
  const file = `warrenmq.${process.platform}-${process.arch}.node`
  let native: Native
  try {
    native = require(join(__dirname, file))
  } catch (cause) {
    throw new Error(`${file}, the native half of warrenmq, cannot be loaded: build it with "npm run build"`, {
      cause,
    })
  }
  const { version } = require('../package.json') as { version: string }
  if (native.version() !== version) {
    throw new Error(`warrenmq is ${version}, but ${file} is ${native.version()}: build it again`)
  }
  return native
}

export const native = load()
