/**
 * WarrenMQ: RabbitMQ's semantics, in this process.
 *
 * {@link connect} is where everything begins.
 *
 * @packageDocumentation
 */
import './dispose'
import { event } from './connection'
import { ready } from './consumer'
import { fromNative } from './errors'
import { native } from './native'

native.setUp(fromNative, ready, event)

export type { Body, Json } from './body'
export { Channel } from './channel'
export { Connection, type ConnectionEvents, connect } from './connection'
export { Consumer, type Handler } from './consumer'
export { type ErrorCode, WarrenError } from './errors'
export { Exchange } from './exchange'
export { Message } from './message'
export type {
  BatchReceipt,
  ConnectOptions,
  ConsumeOptions,
  Death,
  ExchangeOptions,
  ExchangeType,
  Fields,
  FieldValue,
  Properties,
  PublishOptions,
  QueueArguments,
  QueueInfo,
  QueueOptions,
  Receipt,
  SendOptions,
} from './options'
export { Queue } from './queue'
export { type Reply, type ServeOptions, Server } from './rpc'
