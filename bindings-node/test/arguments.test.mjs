import assert from 'node:assert/strict'
import { test } from 'node:test'
import { consumerArguments, queueArguments } from '../dist/arguments.js'
import { open } from './helpers.mjs'

const QUEUE = {
  ttl: ['x-message-ttl', 60_000],
  expires: ['x-expires', 60_000],
  maxLength: ['x-max-length', 10],
  maxLengthBytes: ['x-max-length-bytes', 1000],
  overflow: ['x-overflow', 'reject-publish'],
  deadLetterExchange: ['x-dead-letter-exchange', ''],
  deadLetterRoutingKey: ['x-dead-letter-routing-key', 'elsewhere'],
  deadLetterStrategy: ['x-dead-letter-strategy', 'at-least-once'],
  maxPriority: ['x-max-priority', 5],
  singleActiveConsumer: ['x-single-active-consumer', true],
  deliveryLimit: ['x-delivery-limit', 3],
  consumerTimeout: ['x-consumer-timeout', 60_000],
  type: ['x-queue-type', 'quorum'],
  deduplication: ['x-message-deduplication', true],
  deduplicationHeader: ['x-deduplication-header', 'id'],
  deduplicationCacheSize: ['x-cache-size', 100],
  deduplicationCacheTtl: ['x-cache-ttl', 60_000],
  maxAge: ['x-max-age', '7D'],
}

test('an option stands for its argument', () => {
  for (const [option, [argument, value]] of Object.entries(QUEUE)) {
    assert.deepEqual(queueArguments({ [option]: value }), { [argument]: value })
  }
  for (const offset of ['first', 7, new Date(), '1h']) {
    assert.deepEqual(consumerArguments({ offset }, false), { 'x-stream-offset': offset })
    assert.deepEqual(consumerArguments({ offset }, true), { 'x-stream-offset': offset })
  }
  assert.equal(queueArguments({ durable: true }), undefined)
  assert.equal(consumerArguments({}, false), undefined)
  assert.deepEqual(consumerArguments({}, true), { 'x-stream-offset': 'next' })
})

test('a queue that is declared by option is the same by argument', async (t) => {
  const mq = await open(t)
  await mq.queue('q', { ttl: 60_000 })
  await mq.queue('q', { arguments: { 'x-message-ttl': 60_000 } })
  await assert.rejects(mq.queue('q', { ttl: 1 }), { code: 'PRECONDITION_FAILED' })
})

test('options and arguments go together, and what is given both ways has to be the same', async (t) => {
  const mq = await open(t)
  const args = { 'x-max-length': 10 }
  await mq.queue('q', { ttl: 60_000, arguments: args })
  assert.deepEqual(args, { 'x-max-length': 10 })
  const queue = await mq.queue('q', {
    maxLength: 10,
    arguments: { 'x-max-length': 10, 'x-message-ttl': 60_000 },
  })
  await assert.rejects(mq.queue('q', { ttl: 1, arguments: { 'x-message-ttl': 2 } }), {
    code: 'INVALID_ARGUMENT',
    reason: "ttl: 1 differs from arguments['x-message-ttl']: 2",
  })
  const consumer = queue.consume({ priority: 1, arguments: { 'x-priority': 2 } })
  await assert.rejects(consumer.started, { code: 'INVALID_ARGUMENT', reason: /^priority: 1 differs/ })
})

test('a consumer of higher priority is served first', async (t) => {
  const queue = await (await open(t)).queue('q')
  const low = queue.consume()
  const high = queue.consume({ priority: 10 })
  await Promise.all([low.started, high.started])
  await queue.send('x')
  assert.equal((await high.get({ timeout: 5000 })).text(), 'x')
  assert.equal(await low.get({ timeout: 1 }), null)
})

/** The headers of a message that is sent like this. */
async function headers(mq, options) {
  const queue = await mq.queue('delayed')
  await queue.send('', options)
  const consumer = queue.consume()
  const message = await consumer.get({ timeout: 5000 })
  message.ack()
  await consumer.cancel()
  // The exchange type turns the delay's sign when the time is over.
  return { ...message.headers, 'x-delay': Math.abs(message.headers['x-delay']) }
}

test('a delay is a header', async (t) => {
  const mq = await open(t)
  assert.deepEqual(await headers(mq, { delay: 1 }), { 'x-delay': 1 })
  assert.deepEqual(await headers(mq, { delay: 1, headers: { a: 'b' } }), { a: 'b', 'x-delay': 1 })
  assert.deepEqual(await headers(mq, { delay: 1, headers: { 'x-delay': 1 } }), { 'x-delay': 1 })
  const queue = await mq.queue('q')
  await assert.rejects(queue.send('', { delay: 1, headers: { 'x-delay': 2 } }), {
    code: 'INVALID_ARGUMENT',
    reason: /^delay: differs from the header x-delay/,
  })
  for (const delay of [-1, 1.5, 2 ** 53, '1']) {
    await assert.rejects(queue.send('', { delay }), { code: 'INVALID_ARGUMENT', reason: /^delay: / })
  }
})

test('a message tells how often it came back and why it was dead-lettered', async (t) => {
  const queue = await (await open(t)).queue('q')
  const death = { queue: 'tasks', reason: 'expired', count: 2, time: new Date(1_700_000_000_000) }
  await queue.send('')
  await queue.send('', { headers: { 'x-delivery-count': 3, 'x-death': [death] } })
  await queue.send('', { headers: { 'x-delivery-count': 'many', 'x-death': 'twice' } })
  const told = []
  for (let i = 0; i < 3; i++) {
    const { deliveryCount, deaths } = await queue.get({ noAck: true })
    told.push([deliveryCount, deaths])
  }
  assert.deepEqual(told, [
    [0, []],
    [3, [death]],
    [0, []],
  ])
})

test('a stream is read from its offset, by a reader that leaves it as it was', async (t) => {
  const host = await open(t)
  const remote = await open(t, `amqp://${await host.listen('127.0.0.1:0')}`)
  for (const mq of [host, remote]) {
    const stream = await mq.queue(mq.transport, { durable: true, type: 'stream' })
    const next = stream.consume()
    await next.started
    await stream.sendMany(['0', '1', '2'])
    assert.equal((await next.get({ timeout: 5000 })).text(), '0')
    for (const [offset, first] of [
      ['first', '0'],
      [1, '1'],
      [new Date(2024, 0), '0'],
    ]) {
      const consumer = stream.consume({ offset })
      const message = await consumer.get({ timeout: 5000 })
      assert.equal(message.text(), first)
      await consumer.cancel() // with others fetched, of which none can be put back
      message.ack()
    }
    await next.return()
    assert.equal((await stream.send('3')).routed, true)
  }
})

test('a handler that fails on a message of a stream gets the next', async (t) => {
  const mq = await open(t)
  const stream = await mq.queue('stream', { durable: true, type: 'stream' })
  await stream.sendMany(['0', '1'])
  const told = []
  mq.on('error', (error) => told.push(error.message))
  await new Promise((resolve) => {
    stream.consume({ offset: 'first', prefetch: 1 }, (message) => {
      if (message.text() === '0') throw new Error('cannot')
      message.ack()
      resolve()
    })
  })
  assert.deepEqual(told, ['cannot'])
})

test('a queue that knows a message does not take it again', async (t) => {
  const queue = await (await open(t)).queue('once', { deduplication: true, deduplicationHeader: 'id' })
  for (const id of [1, 1, 2]) await queue.send('', { headers: { id } })
  assert.equal((await queue.info()).messageCount, 2)
})
