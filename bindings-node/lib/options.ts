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
  /**
   * For `local:`, how long the process that hosts the directory may give no sign of life, as one that is stopped does,
   * before what is awaited of it fails with `TIMEOUT`, which names that process; in milliseconds from 2000. Default
   * 30 000; `Infinity` waits for ever. What was asked may take effect yet: the connection stays, and goes on when that
   * process does, or when another takes its place.
   */
  hostTimeout?: number
  /**
   * For `inproc:` and `local:`, where AMQP clients may come in: `HOST:PORT`, or several; port 0 picks a free one
   * ({@link Connection.listening} tells which). For a directory that another process hosts this takes effect when this
   * process takes it over.
   */
  listen?: string | string[]
}

/**
 * What a queue does with its messages. Each option stands for the argument that it names; given both ways with
 * different values, it is an `INVALID_ARGUMENT`.
 */
export interface QueueArguments {
  /** `x-message-ttl`: how long a message may wait in it, in milliseconds from 0; then it is dead-lettered. */
  ttl?: number
  /** `x-expires`: it is deleted when nobody has used it for so many milliseconds, from 1. */
  expires?: number
  /** `x-max-length`: how many messages may be ready in it, from 0. */
  maxLength?: number
  /** `x-max-length-bytes`: how many bytes their bodies may have together, from 0. */
  maxLengthBytes?: number
  /**
   * `x-overflow`: what a full queue does. `drop-head`, unless said otherwise: the oldest message goes,
   * dead-lettered if that is set up. `reject-publish`: the new one is refused with `NACKED`; `reject-publish-dlx`
   * dead-letters that one too.
   */
  overflow?: 'drop-head' | 'reject-publish' | 'reject-publish-dlx'
  /**
   * `x-dead-letter-exchange`: where messages go that expired, were rejected, or had to make room; `''` is the
   * default exchange.
   */
  deadLetterExchange?: string
  /** `x-dead-letter-routing-key`: the routing key that they go with; their own, unless said otherwise. */
  deadLetterRoutingKey?: string
  /** `x-dead-letter-strategy`: with `at-least-once` a message leaves this queue when the next one has it. */
  deadLetterStrategy?: 'at-most-once' | 'at-least-once'
  /** `x-max-priority`: it has priorities from 0 to this, at most 255; the higher are delivered first. */
  maxPriority?: number
  /** `x-single-active-consumer`: one consumer gets all messages, until it goes and the next takes over. */
  singleActiveConsumer?: boolean
  /** `x-delivery-limit`: how often a message may come back to it, from 0; then it is dead-lettered. */
  deliveryLimit?: number
  /** `x-consumer-timeout`: how long a delivery may go unacknowledged, in milliseconds. */
  consumerTimeout?: number
  /** `x-queue-type`. The last two have to be durable. */
  type?: 'classic' | 'quorum' | 'stream'
  /** `x-message-deduplication`: a message is dropped if one of the same id came not long ago. */
  deduplication?: boolean
  /** `x-deduplication-header`: the header that has the id; `x-deduplication-header` unless said otherwise. */
  deduplicationHeader?: string
  /** `x-cache-size`: how many ids are remembered, from 1. Default 1024. */
  deduplicationCacheSize?: number
  /** `x-cache-ttl`: for how long an id is remembered, in milliseconds. Default: until others push it out. */
  deduplicationCacheTtl?: number
  /** `x-max-age`, of a stream: for how long messages are kept, such as `7D` or `12h` (Y, M, D, h, m, s). */
  maxAge?: string
}

/** How a queue is declared. */
export interface QueueOptions extends QueueArguments {
  /** Survives the broker; messages sent through this handle are persistent. Default false. */
  durable?: boolean
  /** Belongs to this connection, and goes with it. Default false. */
  exclusive?: boolean
  /** Goes when its last consumer does. Default false. */
  autoDelete?: boolean
  /** Declares nothing; fails with `NOT_FOUND` unless the queue is there. Default false. */
  passive?: boolean
  /** `x-` arguments that have no name among the options. */
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
export type ExchangeType =
  | 'direct'
  | 'fanout'
  | 'topic'
  | 'headers'
  | 'x-delayed-message'
  | 'x-consistent-hash'
  | 'x-modulus-hash'
  | 'x-random'
  | 'x-local-random'
  | 'x-recent-history'
  | (string & {})

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
  /**
   * How long the broker is to hold it back before it is routed, in milliseconds, 0 to 2^53−1: the header
   * `x-delay`.
   */
  delay?: number
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
  /** Those of a higher one are served first. Default 0. */
  priority?: number
  /**
   * Where in a stream to begin: with its first message, its last chunk, with what comes next (default), with the
   * message of that number (from 0), at that time, or as long ago as `'1h'` says.
   */
  offset?: 'first' | 'last' | 'next' | number | Date | (string & {})
  /** `x-` arguments that have no name among the options. */
  arguments?: Fields
}

/** Why a message was dead-lettered from one queue for one reason (an entry of the header `x-death`). */
export interface Death {
  queue: string
  reason: 'expired' | 'rejected' | 'maxlen' | 'delivery_limit'
  /** How often. */
  count: number
  /** The exchange that it was published to. */
  exchange: string
  'routing-keys': string[]
  /** When it was first. */
  time: Date
  'original-expiration'?: string
}

/** What happened to a message. */
export interface Receipt {
  /** The broker has taken responsibility for it. Not so in a transaction, before its commit. */
  readonly confirmed: boolean
  /** At least one queue took it. In a transaction, the commit tells. */
  readonly routed: boolean
}

/** What happened to a batch. */
export interface BatchReceipt {
  /**
   * How many the broker has taken responsibility for: all of them, or the call failed; in a transaction none,
   * before its commit.
   */
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
