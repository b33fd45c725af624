// What the sessions share: how bodies and messages look in steps and in answers, and the functions to serve.
import { createHash } from 'node:crypto'

export const TIMEOUT = 10 // seconds, for what is expected to come

// The reply codes that scenarios name.
export const REPLY_CODES = {
  403: 'ACCESS_REFUSED',
  404: 'NOT_FOUND',
  405: 'RESOURCE_LOCKED',
  406: 'PRECONDITION_FAILED',
  503: 'COMMAND_INVALID',
  530: 'NOT_ALLOWED',
  540: 'NOT_IMPLEMENTED',
}

export const PROPERTIES = [
  'content_type',
  'content_encoding',
  'delivery_mode',
  'priority',
  'correlation_id',
  'reply_to',
  'expiration',
  'message_id',
  'timestamp',
  'type',
  'user_id',
  'app_id',
]

/** Scenarios spell names as the specification does, JavaScript as `contentType`. */
export const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

export const camelKeys = (object = {}) =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [camel(key), value]))

/** The properties that are set, in the scenarios' spelling. */
export function propertiesOf(object) {
  const entries = PROPERTIES.map((name) => [name, object[camel(name)]]).filter(([, value]) => value != null)
  const set = Object.fromEntries(entries)
  if ('expiration' in set) set.expiration = String(set.expiration) // text in AMQP, a number where an API has read it
  return set
}

/** A step's body as a JavaScript program would give it: a string, a Buffer, or a value to be sent as JSON. */
export function bodyOf(given) {
  if (typeof given === 'string') return given
  if ('json' in given) return given.json
  const part = Buffer.from(given.hex, 'hex')
  return Buffer.alloc(part.length * (given.times ?? 1), part)
}

/** A step's headers or arguments, with `{"timestamp": SECONDS}` as what the API takes for a point in time. */
export function fieldsOf(given, timestamp) {
  if (Array.isArray(given)) return given.map((value) => fieldsOf(value, timestamp))
  if (given === null || typeof given !== 'object') return given
  const entries = Object.entries(given)
  if (entries.length === 1 && entries[0][0] === 'timestamp') return timestamp(entries[0][1])
  return Object.fromEntries(entries.map(([key, value]) => [key, fieldsOf(value, timestamp)]))
}

/** How an answer shows what JSON has no form for: a Date as the other runners do. */
export function told(value) {
  if (value instanceof Date) return { timestamp: value.getTime() / 1000 }
  if (value?.['!'] === 'timestamp') return { timestamp: value.value } // amqplib's way of saying it
  if (Buffer.isBuffer(value)) return { hex: value.toString('hex') }
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(told)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, told(part)]))
}

/** A message in an answer. The body is told by its digest, and shown where it is JSON. */
export function seen(body, about) {
  const message = { size: body.length, sha256: createHash('sha256').update(body).digest('hex'), ...told(about) }
  if (about.properties.content_type === 'application/json') message.json = JSON.parse(body.toString())
  return message
}

/** A first-in first-out list that can be waited on. */
export class Inbox {
  #items = []
  #arrived = () => {}

  get length() {
    return this.#items.length
  }

  push(item) {
    this.#items.push(item)
    this.#arrived()
  }

  /** The next item; rejects after so many seconds. */
  async take(seconds, otherwise) {
    if (!this.#items.length) await within(seconds, otherwise, new Promise((resolve) => (this.#arrived = resolve)))
    return this.#items.shift()
  }
}

/** The promise's value; rejects with a time-out after so many seconds. */
export function within(seconds, otherwise, promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error(otherwise), { code: 'TIMEOUT' })), seconds * 1000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function fib({ n }) {
  let [a, b] = [0, 1]
  while (n-- > 0) [a, b] = [b, a + b]
  return a
}

export const FUNCTIONS = { fib }
