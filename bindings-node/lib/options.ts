// What can be asked of connect, declare, publish and consume.

/** A value in headers or arguments. Numbers beyond ±(2^53−1) are BigInts; Dates are kept in whole seconds. */
export type FieldValue =
  | string
  | number
  | bigint
  | boolean
  | null
  | Date
  | Uint8Array
  | FieldValue[]
  | { [name: string]: FieldValue | undefined }

/** Headers, or arguments of a declaration: names of at most 255 bytes. */
export type Fields = Record<string, FieldValue | undefined>

/** How a connection is opened. */
export interface ConnectOptions {
  /** A name for listings and logs. */
  name?: string
  /** How long opening may take, in milliseconds. Default 10 000. */
  timeout?: number
}

/** How a queue is declared. */
export interface QueueOptions {
  /** Survives the broker; messages sent through this handle are persistent. Default false. */
  durable?: boolean
  /** Belongs to this connection, and goes with it. Default false. */
  exclusive?: boolean
  /** Goes when its last consumer does. Default false. */
  autoDelete?: boolean
  /** Declares nothing; fails with `NOT_FOUND` unless the queue is there. Default false. */
  passive?: boolean
  /** `x-` arguments. */
  arguments?: Fields
}

/** How an exchange is declared. */
export interface ExchangeOptions {
  /** Survives the broker. Default false. */
  durable?: boolean
  /** Goes when the last binding from it does. Default false. */
  autoDelete?: boolean
  /** Takes messages from other exchanges only. Default false. */
  internal?: boolean
  /** Declares nothing; fails with `NOT_FOUND` unless the exchange is there. Default false. */
  passive?: boolean
  /** Arguments such as `alternate-exchange`. */
  arguments?: Fields
}

/** The types of exchanges. */
export type ExchangeType = 'direct' | 'fanout' | 'topic' | 'headers' | (string & {})

/** A message's properties, as they are sent. Texts are at most 255 bytes long. */
export interface SendOptions {
  /** MIME type of the body; else set from what the body is. */
  contentType?: string
  contentEncoding?: string
  headers?: Fields
  /** Kept on disk in a durable queue. Default: true when the queue's handle was declared durable. */
  persistent?: boolean
  /** 0 to 255; counts in queues with `x-max-priority`. */
  priority?: number
  /** Which request a reply belongs to. */
  correlationId?: string
  /** The queue that replies go to. */
  replyTo?: string
  /** How long the message may wait in a queue, in milliseconds. */
  expiration?: number
  messageId?: string
  /** When it was sent: seconds since 1970, or a Date, of which whole seconds are kept. */
  timestamp?: number | Date
  /** What kind of message it is. */
  type?: string
  /** Must be the connection's user, where it is set. */
  userId?: string
  appId?: string
}

/** {@link SendOptions} for an exchange. */
export interface PublishOptions extends SendOptions {
  /** Fail with `NO_ROUTE` when no queue takes it. Default false. */
  mandatory?: boolean
}

/** A message's properties, as they came; only those that are present. */
export interface Properties {
  contentType?: string
  contentEncoding?: string
  headers?: Record<string, FieldValue>
  /** 1 transient, 2 persistent. */
  deliveryMode?: number
  priority?: number
  correlationId?: string
  replyTo?: string
  /** Milliseconds; text where the sender wrote no number. */
  expiration?: number | string
  messageId?: string
  /** Seconds since 1970. */
  timestamp?: number
  type?: string
  userId?: string
  appId?: string
}

/** How a consumer is registered. */
export interface ConsumeOptions {
  /**
   * How many messages may be unacknowledged at once, 0 (no limit) to 65 535. Default 100; on a `Channel`, what
   * its `prefetch` said last.
   */
  prefetch?: number
  /** Messages count as done when they are delivered. Default false. */
  noAck?: boolean
  /** Nobody else may consume from the queue; fails with `ACCESS_REFUSED` if someone does. Default false. */
  exclusive?: boolean
  /** The consumer's tag; made up by the broker when it is empty. */
  tag?: string
  /** Such as `x-priority`. */
  arguments?: Fields
}

/** What happened to a message. */
export interface Receipt {
  /** The broker has taken responsibility for it. */
  readonly confirmed: boolean
  /** At least one queue took it. */
  readonly routed: boolean
}

/** What happened to a batch. */
export interface BatchReceipt {
  /** How many the broker has taken responsibility for: all of them, or the call failed. */
  readonly confirmed: number
  /** The places in the batch, from 0, of those that no queue took. */
  readonly unrouted: readonly number[]
}

/** What a queue holds. */
export interface QueueInfo {
  readonly name: string
  /** Messages that are ready to be delivered. */
  readonly messageCount: number
  readonly consumerCount: number
}
