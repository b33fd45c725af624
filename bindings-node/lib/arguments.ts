// Named options that stand for `x-` arguments of queues and consumers.

import { isDeepStrictEqual } from 'node:util'

import { WarrenError } from './errors'
import type { ConsumeOptions, Fields, FieldValue, QueueArguments, QueueOptions } from './options'

const QUEUE: Record<keyof QueueArguments, string> = {
  ttl: 'x-message-ttl',
  expires: 'x-expires',
  maxLength: 'x-max-length',
  maxLengthBytes: 'x-max-length-bytes',
  overflow: 'x-overflow',
  deadLetterExchange: 'x-dead-letter-exchange',
  deadLetterRoutingKey: 'x-dead-letter-routing-key',
  deadLetterStrategy: 'x-dead-letter-strategy',
  maxPriority: 'x-max-priority',
  singleActiveConsumer: 'x-single-active-consumer',
  deliveryLimit: 'x-delivery-limit',
  consumerTimeout: 'x-consumer-timeout',
  type: 'x-queue-type',
  deduplication: 'x-message-deduplication',
  deduplicationHeader: 'x-deduplication-header',
  deduplicationCacheSize: 'x-cache-size',
  deduplicationCacheTtl: 'x-cache-ttl',
  maxAge: 'x-max-age',
}

const CONSUMER = { priority: 'x-priority', offset: 'x-stream-offset' }

/** The arguments of a declaration, with those that its options stand for. */
export function queueArguments(options: QueueOptions): Fields | undefined {
  return merged('queue.declare', QUEUE, options)
}

/** The arguments of a consumer, with those that its options stand for. That of a stream says where it begins. */
export function consumerArguments(options: ConsumeOptions, stream: boolean): Fields | undefined {
  const args = merged('basic.consume', CONSUMER, options)
  return stream ? { [CONSUMER.offset]: 'next', ...args } : args
}

/** Whether a queue that is declared with these arguments is a stream. */
export function ofStream(args: Fields | undefined): boolean {
  return args?.[QUEUE.type] === 'stream'
}

/** Whether a consumer with these arguments reads a stream. */
export function readsStream(args: Fields | undefined): boolean {
  return args?.[CONSUMER.offset] !== undefined
}

function merged<T extends { arguments?: Fields }>(
  operation: string,
  names: Record<string, string>,
  options: T,
): Fields | undefined {
  let all = options.arguments
  for (const [option, name] of Object.entries(names)) {
    const value = options[option as keyof T] as FieldValue | undefined
    if (value === undefined) continue
    const given = options.arguments?.[name]
    if (given !== undefined && !isDeepStrictEqual(given, value)) {
      const reason = `${option}: ${value} differs from arguments['${name}']: ${given}`
      throw new WarrenError('INVALID_ARGUMENT', operation, reason, { advice: 'give one of them' })
    }
    all = { ...all, [name]: value }
  }
  return all
}
