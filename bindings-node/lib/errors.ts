import type { Message } from './message'
import { native } from './native'

/**
 * What went wrong, as one word. The first group has AMQP 0-9-1's reply codes (311 to 541), the second is
 * the client's own (above 1000).
 */
export type ErrorCode =
  | 'CONTENT_TOO_LARGE'
  | 'NO_ROUTE'
  | 'NO_CONSUMERS'
  | 'CONNECTION_FORCED'
  | 'INVALID_PATH'
  | 'ACCESS_REFUSED'
  | 'NOT_FOUND'
  | 'RESOURCE_LOCKED'
  | 'PRECONDITION_FAILED'
  | 'FRAME_ERROR'
  | 'SYNTAX_ERROR'
  | 'COMMAND_INVALID'
  | 'CHANNEL_ERROR'
  | 'UNEXPECTED_FRAME'
  | 'RESOURCE_ERROR'
  | 'NOT_ALLOWED'
  | 'NOT_IMPLEMENTED'
  | 'INTERNAL_ERROR'
  | 'TIMEOUT'
  | 'CLOSED'
  | 'UNREACHABLE'
  | 'INVALID_ARGUMENT'
  | 'NACKED'
  | 'BACKPRESSURE'
  | 'UNSUPPORTED'
  | 'FORKED'
  | 'REMOTE'

interface Details {
  entity?: string | undefined
  advice?: string | undefined
  cause?: unknown
}

const CODES = native.kinds()

/**
 * Every error of this package: what was attempted, on what, why it failed and what to do.
 *
 * @example
 * ```ts
 * try {
 *   await mq.queue('tasks', { passive: true })
 * } catch (error) {
 *   if (error instanceof WarrenError && error.code === 'NOT_FOUND') console.log(error.reason) // no queue 'tasks' …
 *   else throw error
 * }
 * ```
 */
export class WarrenError extends Error {
  override readonly name = 'WarrenError'
  /** What went wrong, as one word. */
  readonly code: ErrorCode
  /** The AMQP reply code (404 …), or the client's own above 1000. */
  readonly replyCode: number
  /** What was attempted: `queue.declare`, `connect` … */
  readonly operation: string
  /** What it was attempted on; empty where the operation says it all. */
  readonly entity: string
  /** Why it failed. */
  readonly reason: string
  /** What can be done about it. */
  readonly advice: string | undefined
  /** The message that came back, where `code` is `NO_ROUTE`. */
  declare readonly returned?: Message

  /** @internal */
  constructor(
    code: ErrorCode,
    operation: string,
    reason: string,
    { entity = '', advice, cause }: Details = {},
  ) {
    const on = entity && ` ${entity}`
    const hint = advice ? ` (${advice})` : ''
    super(`${operation}${on}: ${code} - ${reason}${hint}`, cause === undefined ? undefined : { cause })
    this.code = code
    this.replyCode = CODES[code] ?? 0
    this.operation = operation
    this.entity = entity
    this.reason = reason
    this.advice = advice
  }

  /** The text as it stands on the wire, equal to RabbitMQ's: `NOT_FOUND - no queue 'x' in vhost '/'`. */
  get replyText(): string {
    return `${this.code} - ${this.reason}`
  }
}

/** Makes the native half's errors; `causes` run from the nearest to the first. */
export function fromNative(
  code: string,
  _replyCode: number,
  _message: string,
  operation: string,
  entity: string,
  reason: string,
  advice: string | undefined,
  causes: string[],
): WarrenError {
  const cause = causes.reduceRight<Error | undefined>(
    (deeper, text) => new Error(text, deeper && { cause: deeper }),
    undefined,
  )
  return new WarrenError(code as ErrorCode, operation, reason, { entity, advice, cause })
}

export function isClosed(error: unknown): boolean {
  return error instanceof WarrenError && error.code === 'CLOSED'
}
