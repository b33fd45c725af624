import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, WarrenError } from 'warrenmq'
import { open } from './helpers.mjs'

test('an error says what was attempted, on what, why it failed and what to do', async (t) => {
  const mq = await open(t)
  const error = await mq.queue('nope', { passive: true }).catch((e) => e)
  assert.ok(error instanceof WarrenError)
  assert.ok(error instanceof Error)
  assert.equal(error.name, 'WarrenError')
  assert.equal(error.code, 'NOT_FOUND')
  assert.equal(error.replyCode, 404)
  assert.equal(error.replyText, "NOT_FOUND - no queue 'nope' in vhost '/'")
  assert.equal(error.operation, 'queue.declare')
  assert.match(error.entity, /queue 'nope'/)
  assert.equal(error.reason, "no queue 'nope' in vhost '/'")
  assert.match(error.advice, /declare the queue/)
  assert.match(
    error.message,
    /^queue\.declare queue 'nope'.*: NOT_FOUND - no queue 'nope'.*\(declare the queue/,
  )
  assert.match(error.stack, /errors\.test\.mjs/)
})

test('a declare that does not fit is refused with RabbitMQ’s text, and the connection goes on', async (t) => {
  const mq = await open(t)
  await mq.queue('q')
  await assert.rejects(mq.queue('q', { durable: true }), {
    code: 'PRECONDITION_FAILED',
    reason: /inequivalent arg 'durable' for queue 'q' in vhost '\/'/,
  })
  await (await mq.queue('q')).send('still works')
})

test('an unknown scheme is refused without showing the password', async () => {
  const error = await connect('redis://me:secret@host').catch((e) => e)
  assert.equal(error.code, 'INVALID_ARGUMENT')
  assert.match(error.message, /unknown scheme 'redis'/)
  assert.doesNotMatch(error.message, /secret/)
})

test('an address at which nobody listens is unreachable, with the cause', async () => {
  const error = await connect('amqp://127.0.0.1:1', { timeout: 5000 }).catch((e) => e)
  assert.equal(error.code, 'UNREACHABLE')
  assert.match(error.message, /connect .*127\.0\.0\.1:1/)
})

test('acknowledging twice, or what needs none, is an error', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('q')
  await queue.sendMany([1, 2])
  const message = await queue.get()
  message.ack()
  assert.equal(message.settled, true)
  assert.throws(() => message.ack(), { code: 'PRECONDITION_FAILED', reason: /settled already/ })
  assert.throws(() => message.nack(), { code: 'PRECONDITION_FAILED' })
  const free = await queue.get({ noAck: true })
  assert.throws(() => free.ack(), { code: 'PRECONDITION_FAILED', reason: /nothing to acknowledge/ })
})

const wrong = [
  [{ priority: 256 }, /^priority: a whole number from 0 to 255/],
  [{ priority: '1' }, /^priority: a number/],
  [{ expiration: -1 }, /^expiration: a whole number/],
  [{ contentType: 5 }, /^contentType: a string/],
  [{ correlationId: 'x'.repeat(256) }, /^correlationId: longer than 255 bytes/],
  [{ persistent: 2 }, /^persistent: true or false/],
  [{ timestamp: new Date(Number.NaN) }, /^timestamp: /],
  [{ headers: { a: [1, { b: undefined, c: Symbol('x') }] } }, /^headers\.a\[1\]\.c: functions and symbols/],
  [{ headers: { n: 2 ** 60 } }, /^headers\.n: .*BigInt/],
  [{ headers: { n: 2n ** 64n } }, /^headers\.n: a BigInt of more than 64 bits/],
  [{ headers: 'x' }, /^headers: an object/],
]
for (const [options, reason] of wrong) {
  test(`a property that cannot be sent is named: ${reason}`, async (t) => {
    const queue = await (await open(t)).queue('q')
    await assert.rejects(queue.send('x', options), { code: 'INVALID_ARGUMENT', reason })
  })
}

test('headers in a circle are an error', async (t) => {
  const queue = await (await open(t)).queue('q')
  const headers = {}
  headers.self = headers
  await assert.rejects(queue.send('x', { headers }), { code: 'INVALID_ARGUMENT', reason: /in a circle/ })
})

test('a getter among the options that throws is heard of, with its own error', async (t) => {
  const queue = await (await open(t)).queue('q')
  const options = {
    get headers() {
      throw new TypeError('mine')
    },
  }
  await assert.rejects(queue.send('x', options), { name: 'TypeError', message: 'mine' })
})

test('publishing to an exchange that is gone fails, and the connection goes on', async (t) => {
  const mq = await open(t)
  const exchange = await mq.exchange('gone', 'fanout')
  await exchange.delete()
  await assert.rejects(exchange.publish('x'), { code: 'NOT_FOUND', reason: /no exchange 'gone'/ })
  assert.equal((await (await mq.queue('q')).send('x')).routed, true)
})

test('a consumer that the broker refuses says so to whoever waits for it', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('q')
  const first = queue.consume({ exclusive: true })
  await first.started
  const second = queue.consume()
  await assert.rejects(second.started, { code: 'ACCESS_REFUSED' })
  await assert.rejects(queue.consume().next(), { code: 'ACCESS_REFUSED' })
  await assert.rejects(queue.consume().get(), { code: 'ACCESS_REFUSED' })
  await second.cancel()
})

test('a consumer whose queue is deleted ends with an error', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('q')
  const consumer = queue.consume()
  await consumer.started
  const next = consumer.next()
  await queue.delete()
  await assert.rejects(next, { code: 'CLOSED', reason: /the queue was deleted/ })
  assert.equal((await consumer.next()).done, true)
})

test('a handler whose queue is deleted is heard of by the error event', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('q')
  const told = new Promise((resolve) => mq.once('error', resolve))
  await queue.consume(() => {}).started
  await queue.delete()
  assert.equal((await told).code, 'CLOSED')
})
