// Bodies: bytes as they are, text as UTF-8, everything else as JSON.
//
// What JSON would change silently is an error here that names the place, because the receiver, who may be a
// Python program, could not know.

import { isUtf8 } from 'node:buffer'
import { types } from 'node:util'

import { WarrenError } from './errors'

/** What can be sent as JSON: no NaN, no integer beyond ±(2^53−1), no BigInt, date, bytes, Map or Set in it. */
export type Json = string | number | boolean | null | Json[] | { [name: string]: Json | undefined }

/**
 * What can be sent. Typed arrays and ArrayBuffers go as their bytes, with no content type; strings as
 * `text/plain; charset=utf-8`; everything else as `application/json`, in which fields that are `undefined`
 * are left out. Objects with a `toJSON` method are asked for it.
 */
export type Body = NodeJS.ArrayBufferView | ArrayBufferLike | string | Json | object

/** How a body is encoded; says its content type. */
export const enum Kind {
  Bytes,
  Text,
  Json,
}

export const CONTENT_TYPES = [undefined, 'text/plain; charset=utf-8', 'application/json'] as const

export function kindOf(body: unknown): Kind {
  if (ArrayBuffer.isView(body) || types.isAnyArrayBuffer(body)) return Kind.Bytes
  return typeof body === 'string' ? Kind.Text : Kind.Json
}

export function encodeBody(body: unknown, kind: Kind): Uint8Array {
  switch (kind) {
    case Kind.Bytes:
      if (types.isUint8Array(body)) return body
      if (ArrayBuffer.isView(body)) return new Uint8Array(body.buffer, body.byteOffset, body.byteLength)
      return new Uint8Array(body as ArrayBufferLike)
    case Kind.Text:
      if (!wellFormed(body as string)) {
        throw invalid('body: a string with half of a surrogate pair has no UTF-8 form')
      }
      return Buffer.from(body as string)
    case Kind.Json:
      return Buffer.from(toJson(body))
  }
}

function wellFormed(text: string): boolean {
  return text.isWellFormed()
}

function invalid(reason: string, cause?: unknown): WarrenError {
  return new WarrenError('INVALID_ARGUMENT', 'encode', reason, { cause })
}

function toJson(body: unknown): string {
  try {
    check(body, '')
    return JSON.stringify(body)
  } catch (error) {
    if (error instanceof Unfit) throw invalid(`body${error.place}: ${error.message}`)
    if (error instanceof RangeError) throw invalid('body: nested too deep, or in a circle', error)
    throw error // of a toJSON method
  }
}

/** Says what has no JSON form; the place is put together on the way out. */
class Unfit extends Error {
  place = ''
}

/** Types whose JSON would be `{}`, or something that nobody could turn back. */
const FORMLESS: [(value: object) => boolean, string][] = [
  [types.isDate, 'a date has no JSON form; send its toISOString()'],
  [
    (value) => ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value),
    'bytes have no JSON form; send them as the whole body, or as base64',
  ],
  [types.isMap, 'a Map has no JSON form; send Object.fromEntries(it)'],
  [types.isSet, 'a Set has no JSON form; send [...it]'],
  [types.isRegExp, 'a regular expression has no JSON form; send its source'],
  [types.isPromise, 'a promise has no JSON form; await it'],
  [types.isNativeError, 'an error has no JSON form; send its message'],
  [types.isBoxedPrimitive, 'a boxed value has no JSON form; send its valueOf()'],
]

function check(value: unknown, key: string | number): void {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return
    case 'number':
      if (Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value))) return
      throw new Unfit(
        Number.isFinite(value)
          ? `${value} is beyond 2^53-1, where JavaScript's numbers are not exact; send it as a string`
          : `${value} has no JSON form; send null or a string`,
      )
    case 'bigint':
      throw new Unfit('a BigInt has no JSON form; send it as a string')
    case 'undefined':
      throw new Unfit('undefined has no JSON form; send null')
    case 'function':
    case 'symbol':
      throw new Unfit(`a ${typeof value} has no JSON form`)
  }
  if (value === null || value === undefined) return
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) inside(value[index], index)
    return
  }
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) {
    for (const [is, reason] of FORMLESS) if (is(value)) throw new Unfit(reason)
  }
  const { toJSON } = value as { toJSON?: unknown }
  if (typeof toJSON === 'function') {
    check(toJSON.call(value, String(key)), key)
    return
  }
  for (const name of Object.keys(value)) {
    const field = (value as Record<string, unknown>)[name]
    if (field !== undefined) inside(field, name)
  }
}

function inside(value: unknown, key: string | number): void {
  try {
    check(value, key)
  } catch (error) {
    if (error instanceof Unfit) error.place = (typeof key === 'number' ? `[${key}]` : `.${key}`) + error.place
    throw error
  }
}

/** UTF-8, or an error. */
export function decodeText(body: Buffer, operation: string): string {
  if (isUtf8(body)) return body.toString()
  throw new WarrenError('SYNTAX_ERROR', operation, 'the body is not UTF-8', {
    advice: 'read the bytes from message.body',
  })
}

/** Numbers that `JSON.parse` may round: long digits, or an exponent. */
const SUSPECT = /\d{16}|\d[eE]/
/** A string, or a number. */
const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(\.\d+)?([eE][+-]?\d+)?/gs

export function decodeJson(body: Buffer): unknown {
  const text = decodeText(body, 'message.json')
  try {
    if (SUSPECT.test(text)) refuseInexact(text)
    return JSON.parse(text)
  } catch (cause) {
    if (cause instanceof WarrenError) throw cause
    throw new WarrenError(
      'SYNTAX_ERROR',
      'message.json',
      `the body is not JSON: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}

function refuseInexact(text: string): void {
  for (const [token, fraction] of text.matchAll(TOKEN)) {
    if (token.startsWith('"')) continue
    const value = Number(token)
    if (Number.isFinite(value) && (fraction || !Number.isInteger(value) || Number.isSafeInteger(value)))
      continue
    throw new WarrenError('INVALID_ARGUMENT', 'message.json', `${token} cannot be held exactly by a number`, {
      advice: 'parse message.text() yourself, or have the sender send a string',
    })
  }
}
