import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from './helpers.mjs'

async function roundTrip(t, body) {
  const queue = await (await open(t)).queue('q')
  await queue.send(body)
  return queue.get({ noAck: true })
}

test('bytes go as they are, without a content type', async (t) => {
  const bytes = Buffer.from([0, 1, 254, 255])
  for (const body of [
    bytes,
    new Uint8Array(bytes),
    new DataView(new Uint8Array(bytes).buffer),
    new Uint8Array(bytes).buffer,
  ]) {
    const message = await roundTrip(t, body)
    assert.deepEqual(message.value(), bytes)
    assert.equal(message.contentType, undefined)
  }
  assert.equal((await roundTrip(t, new Uint16Array([1, 2]))).body.length, 4)
})

test('strings go as UTF-8 text', async (t) => {
  const message = await roundTrip(t, 'grüße 🐇')
  assert.equal(message.contentType, 'text/plain; charset=utf-8')
  assert.equal(message.value(), 'grüße 🐇')
})

for (const value of [null, true, 0, -1.5, Number.MAX_SAFE_INTEGER, [], {}, { a: [1, { b: 'ü' }], c: null }]) {
  test(`${JSON.stringify(value)} goes as JSON and back`, async (t) => {
    const message = await roundTrip(t, value)
    assert.equal(message.contentType, 'application/json')
    assert.deepEqual(message.value(), value)
  })
}

test('fields that are undefined are left out', async (t) => {
  assert.deepEqual((await roundTrip(t, { a: undefined, b: 1 })).json(), { b: 1 })
})

test('an object with toJSON is asked for it', async (t) => {
  class Point {
    toJSON() {
      return { x: 1 }
    }
  }
  assert.deepEqual((await roundTrip(t, [new Point()])).json(), [{ x: 1 }])
})

const cycle = {}
cycle.self = { cycle }
const refused = [
  [
    { items: [0, 1, 2, { when: new Date(0) }] },
    /^body\.items\[3\]\.when: a date has no JSON form; send its toISOString\(\)$/,
  ],
  [{ n: 2 ** 53 }, /^body\.n: 9007199254740992 is beyond 2\^53-1/],
  [{ n: [-(2 ** 60)] }, /^body\.n\[0\]: .* is beyond/],
  [[Number.NaN], /^body\[0\]: NaN has no JSON form/],
  [Number.POSITIVE_INFINITY, /^body: Infinity has no JSON form/],
  [10n, /^body: a BigInt/],
  [{ a: { b: 1n } }, /^body\.a\.b: a BigInt/],
  [{ file: Buffer.from('x') }, /^body\.file: bytes have no JSON form/],
  [[new Uint8Array(1)], /^body\[0\]: bytes/],
  [new Map(), /^body: a Map/],
  [{ s: new Set() }, /^body\.s: a Set/],
  [[undefined], /^body\[0\]: undefined/],
  [undefined, /^body: undefined/],
  [{ f() {} }, /^body\.f: a function/],
  [{ s: Symbol('x') }, /^body\.s: a symbol/],
  [{ e: new Error('x') }, /^body\.e: an error/],
  [{ r: /x/ }, /^body\.r: a regular expression/],
  [{ p: Promise.resolve() }, /^body\.p: a promise/],
  [cycle, /in a circle/],
  ['\ud800', /^body: a string with half of a surrogate pair/],
]
for (const [value, reason] of refused) {
  test(`what JSON would change is refused: ${reason}`, async (t) => {
    const queue = await (await open(t)).queue('q')
    await assert.rejects(queue.send(value), { name: 'WarrenError', code: 'INVALID_ARGUMENT', reason })
    await assert.rejects(queue.sendMany([value]), { code: 'INVALID_ARGUMENT', reason })
    assert.equal(await queue.get(), null)
  })
}

async function incoming(t, text) {
  const queue = await (await open(t)).queue('q')
  await queue.send(Buffer.from(text), { contentType: 'application/json; charset=utf-8' })
  return queue.get({ noAck: true })
}

for (const text of [
  '{"n": 9007199254740993}',
  '[-9007199254740992]',
  '12345678901234567890',
  '[1e400]',
  '{"a":1e16}',
]) {
  test(`incoming ${text} is an error rather than rounded`, async (t) => {
    const message = await incoming(t, text)
    assert.throws(() => message.json(), { code: 'INVALID_ARGUMENT', reason: /cannot be held exactly/ })
    assert.equal(message.text(), text)
  })
}

for (const text of [
  '9007199254740991',
  '{"s": "9007199254740993 \\" 1e400"}',
  '0.12345678901234567',
  '1e3',
  '-2.5E-3',
]) {
  test(`incoming ${text} is read as it is`, async (t) => {
    assert.deepEqual((await incoming(t, text)).value(), JSON.parse(text))
  })
}

test('a body that is not what its content type says is an error that can be caught', async (t) => {
  const message = await incoming(t, '{"a":')
  assert.throws(() => message.value(), { code: 'SYNTAX_ERROR', operation: 'message.json' })
  const queue = await (await open(t)).queue('q')
  await queue.send(Buffer.from([255, 254]), { contentType: 'text/plain' })
  const bad = await queue.get({ noAck: true })
  assert.throws(() => bad.value(), { code: 'SYNTAX_ERROR', operation: 'message.text' })
  assert.deepEqual(bad.body, Buffer.from([255, 254]))
})
