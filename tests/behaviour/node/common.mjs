// What the sessions share: how bodies and messages look in steps and in answers, and the functions to serve.
import { createHash } from 'node:crypto'

export const TIMEOUT = 10 // seconds, for what is expected to come

// The reply codes that scenarios name.
export const REPLY_CODES = {
  403: 'ACCESS_REFUSED',
  404: 'NOT_FOUND',
  405: 'RESOURCE_LOCKED',
  406: 'PRECONDITION_FAILED',
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

/** A message in an answer. The body is told by its digest, and shown where it is JSON. */
export function seen(body, about) {
  const told = { size: body.length, sha256: createHash('sha256').update(body).digest('hex'), ...about }
  if (about.properties.content_type === 'application/json') told.json = JSON.parse(body.toString())
  return told
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
