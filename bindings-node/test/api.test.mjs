import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect } from 'warrenmq'
import { open, take, turn, unique } from './helpers.mjs'

test('what one connection sends another of the same name receives', async (t) => {
  const url = `inproc://${unique('names')}`
  const [one, other] = [await open(t, url), await open(t, url)]
  const receipt = await (await one.queue('hello')).send('hi')
  assert.deepEqual(receipt, { confirmed: true, routed: true })
  const message = await (await other.queue('hello')).get()
  assert.equal(message.text(), 'hi')
})

test('a message carries everything that it was sent with', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('all')
  const headers = {
    text: 'ü',
    int: -5,
    long: 2 ** 40,
    huge: 2n ** 62n,
    half: 0.5,
    yes: true,
    none: null,
    when: new Date(1_700_000_000_000),
    bytes: Buffer.from([0, 255]),
    list: [1, 'two', [3]],
    table: { deep: { deeper: 1 } },
  }
  const sent = {
    contentType: 'application/x-thing',
    contentEncoding: 'none',
    headers,
    priority: 7,
    correlationId: 'c',
    replyTo: 'r',
    expiration: 60_000,
    messageId: 'm',
    timestamp: 1_700_000_000,
    type: 't',
    userId: 'guest',
    appId: 'a',
  }
  await queue.send(Buffer.from('x'), { ...sent, persistent: true })
  const message = await queue.get({ noAck: true })
  assert.deepEqual(message.properties, { ...sent, deliveryMode: 2 })
  assert.deepEqual(message.headers, headers)
  assert.equal(message.contentType, 'application/x-thing')
  assert.equal(message.exchange, '')
  assert.equal(message.routingKey, 'all')
  assert.equal(message.redelivered, false)
})

test('a queue without a name gets one from the broker', async (t) => {
  const mq = await open(t)
  assert.match((await mq.queue()).name, /^amq\.gen-/)
})

test('messages through a durable handle are persistent unless they say otherwise', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('kept', { durable: true })
  await queue.sendMany(['a'])
  await queue.send('b')
  await queue.send('c', { persistent: false })
  const modes = []
  for (let i = 0; i < 3; i++) modes.push((await queue.get({ noAck: true })).properties.deliveryMode)
  assert.deepEqual(modes, [2, 2, 1])
})

test('a batch keeps its order and says which messages no queue took', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('batch')
  assert.deepEqual(await queue.sendMany(['one', { n: 2 }, Buffer.from('three')]), {
    confirmed: 3,
    unrouted: [],
  })
  const values = []
  for (let i = 0; i < 3; i++) values.push((await queue.get({ noAck: true })).value())
  assert.deepEqual(values, ['one', { n: 2 }, Buffer.from('three')])
  const nowhere = await mq.exchange('nowhere', 'fanout')
  assert.deepEqual(await nowhere.publishMany(['x', 'y']), { confirmed: 2, unrouted: [0, 1] })
})

test('a batch of large, short and empty bodies arrives as it was sent', async (t) => {
  const mq = await open(t)
  const large = (text) => Buffer.alloc(20_000, text)
  const batches = [
    ['', '', large('a'), 'x', '', large('b'), large('c'), ''],
    [large('a'), 'x', 'y'],
    [large('a')],
    ['', ''],
    [],
  ]
  for (const [number, batch] of batches.entries()) {
    const queue = await mq.queue(`sizes-${number}`)
    const bodies = batch.map((body) => Buffer.from(body))
    assert.deepEqual(await queue.sendMany(bodies), { confirmed: batch.length, unrouted: [] })
    for (const body of bodies) assert.deepEqual((await queue.get({ noAck: true })).body, body)
  }
})

test('leaving the loop cancels the consumer and puts back what was not acknowledged', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('loop')
  await queue.sendMany([1, 2, 3, 4])
  for await (const message of queue.consume()) {
    if (message.json() === 3) break
    message.ack()
  }
  assert.deepEqual(await queue.info(), { name: 'loop', messageCount: 2, consumerCount: 0 })
  const again = await queue.get()
  assert.equal(again.json(), 3)
  assert.equal(again.redelivered, true)
})

test('a cancelled consumer gives back what it did not hand out, and the rest can still be acknowledged', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('cancel')
  await queue.sendMany([1, 2, 3, 4, 5])
  const consumer = queue.consume()
  const [first, second] = await take(consumer, 2)
  await consumer.cancel()
  assert.equal((await queue.info()).messageCount, 3)
  assert.deepEqual(await consumer.next(), { value: undefined, done: true })
  assert.equal(await consumer.get(), null)
  first.ack()
  second.nack()
  await turn()
  assert.equal((await queue.info()).messageCount, 4)
  const order = []
  for (let i = 0; i < 4; i++) order.push((await queue.get({ noAck: true })).json())
  assert.deepEqual(order, [2, 3, 4, 5])
})

test('prefetch holds back what is beyond it until an acknowledgement', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('prefetch')
  await queue.sendMany([1, 2, 3])
  const consumer = queue.consume({ prefetch: 2 })
  const [first] = await take(consumer, 2)
  assert.equal(await consumer.get({ timeout: 20 }), null)
  first.ack()
  assert.equal((await consumer.get({ timeout: 5000 })).json(), 3)
})

test('many more messages than the prefetch arrive in order, each once', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('many')
  const count = 20_000
  const sending = (async () => {
    for (let i = 0; i < count; i++) await queue.send(`${i}`)
  })()
  let next = 0
  for await (const message of queue.consume({ prefetch: 37 })) {
    assert.equal(message.text(), `${next}`)
    message.ack()
    if (++next === count) break
  }
  await sending
  assert.equal((await queue.info()).messageCount, 0)
})

test('bodies of every size arrive whole', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('sizes')
  const sizes = [0, 1, 3, 4096, 4097, 65_500, 65_536, 1 << 20, 5 << 20]
  const bodies = sizes.map((size, i) => Buffer.alloc(size, i + 1))
  const consumer = queue.consume()
  for (const body of bodies) await queue.send(body)
  for (const [i, message] of (await take(consumer, sizes.length)).entries()) {
    assert.ok(message.body.equals(bodies[i]), `${sizes[i]} bytes`)
  }
})

test('a message that is kept does not change when others come', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('kept')
  await queue.sendMany(Array.from({ length: 3000 }, (_, i) => `${i}`.padEnd(100)))
  const kept = await take(queue.consume({ prefetch: 0 }), 3000)
  assert.deepEqual(
    kept.map((message) => Number(message.text())),
    [...kept.keys()],
  )
})

test('ack with multiple settles all before it', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('multiple')
  await queue.sendMany([1, 2, 3, 4])
  const consumer = queue.consume()
  const messages = await take(consumer, 4)
  messages[2].ack({ multiple: true })
  assert.throws(() => messages[0].ack(), { code: 'PRECONDITION_FAILED' })
  await consumer.return()
  assert.equal((await queue.get()).json(), 4)
})

test('reject without requeue dead-letters or drops', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('dropped')
  await queue.send('x')
  ;(await queue.get()).reject({ requeue: false })
  await turn()
  assert.equal(await queue.get(), null)
})

test('a handler gets each message, and what it throws puts the message back once', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('handler')
  const errors = []
  mq.on('error', (error) => errors.push(error.message))
  const seen = []
  const consumer = queue.consume({ prefetch: 1 }, async (message) => {
    seen.push([message.text(), message.redelivered])
    if (message.text() === 'bad') throw new Error('cannot')
    message.ack()
  })
  await queue.sendMany(['bad', 'good'])
  while (seen.length < 3) await turn()
  await turn()
  await consumer.cancel()
  assert.deepEqual(seen, [
    ['bad', false],
    ['bad', true],
    ['good', false],
  ])
  assert.deepEqual(errors, ['cannot', 'cannot'])
  assert.equal((await queue.info()).messageCount, 0)
})

test('a handler gets nothing more once it has cancelled its consumer', async (t) => {
  const mq = await open(t)
  const queue = await mq.queue('once')
  await queue.sendMany([1, 2, 3])
  const seen = []
  const consumer = queue.consume((message) => {
    seen.push(message.json())
    message.ack()
    consumer.cancel()
  })
  await consumer.started
  await turn()
  await consumer.cancel()
  assert.deepEqual(seen, [1])
  assert.equal((await queue.info()).messageCount, 2)
})

test('exchanges route by their type', async (t) => {
  const mq = await open(t)
  const logs = await mq.exchange('logs', 'topic')
  const errors = await mq.queue('errors')
  await errors.bind(logs, '*.error')
  assert.deepEqual(await logs.publish('boom', 'disk.error'), { confirmed: true, routed: true })
  assert.deepEqual(await logs.publish('fine', 'disk.info'), { confirmed: true, routed: false })
  await errors.unbind('logs', '*.error')
  assert.equal((await logs.publish('boom', 'disk.error')).routed, false)

  const all = await mq.exchange('all', 'fanout')
  await all.bind(logs, '#')
  await errors.bind('all')
  assert.equal((await logs.publish('via', 'x')).routed, true)
  assert.equal(await errors.purge(), 2)
  assert.equal(await errors.delete(), 0)
  await all.delete()
  assert.equal((await (await mq.exchange('')).publish('x', 'errors')).routed, false)
})

test('a mandatory message that no queue takes comes back', async (t) => {
  const mq = await open(t)
  const returned = once(mq, 'return')
  const direct = await mq.exchange('direct')
  const error = await direct
    .publish({ lost: 1 }, 'nobody', { mandatory: true, messageId: 'm' })
    .catch((e) => e)
  assert.equal(error.code, 'NO_ROUTE')
  assert.deepEqual(error.returned.value(), { lost: 1 })
  assert.equal(error.returned.properties.messageId, 'm')
  assert.equal((await returned)[0].routingKey, 'nobody')
  assert.equal((await direct.publish('x', 'nobody')).routed, false)
})

test('a channel shares its prefetch among its consumers', async (t) => {
  const mq = await open(t)
  const channel = await mq.channel()
  await channel.prefetch(3, { global: true })
  const queue = await channel.queue('shared')
  await queue.sendMany([1, 2, 3, 4, 5])
  const consumers = [queue.consume(), queue.consume()]
  for (const consumer of consumers) await consumer.started
  await turn()
  assert.equal((await queue.info()).messageCount, 2)
  for (const consumer of consumers) await consumer.cancel()
})

test('recover has everything unacknowledged on a channel delivered again', async (t) => {
  const mq = await open(t)
  const channel = await mq.channel()
  const queue = await channel.queue('recover')
  await queue.sendMany([1, 2])
  const first = await queue.get()
  await channel.recover()
  assert.throws(() => first.ack(), { code: 'PRECONDITION_FAILED' })
  const again = await queue.get()
  assert.deepEqual([again.json(), again.redelivered], [1, true])
  await channel.close()
  assert.equal(channel.isOpen, false)
  await assert.rejects(channel.queue('recover'), { code: 'CLOSED' })
  assert.equal((await (await mq.queue('recover')).info()).messageCount, 2)
})

test('a call gets the answer of whoever serves the queue', async (t) => {
  const mq = await open(t)
  await mq.serve('double', async ({ n }) => ({ twice: 2 * n }))
  assert.deepEqual(await Promise.all([1, 2, 3].map((n) => mq.call('double', { n }))), [
    { twice: 2 },
    { twice: 4 },
    { twice: 6 },
  ])
  const reply = await mq.call('double', { n: 5 }, { raw: true })
  assert.deepEqual(reply.json(), { twice: 10 })
})

test('a server that returns nothing answers null, and a closed one takes no more calls', async (t) => {
  const mq = await open(t)
  const server = await mq.serve('void', () => {})
  assert.equal(await mq.call('void', 1), null)
  await server.close()
  await assert.rejects(mq.call('void', 1, { timeout: 30 }), { code: 'TIMEOUT', entity: "queue 'void'" })
})

test('what a server throws reaches the caller', async (t) => {
  const mq = await open(t)
  await mq.serve('fails', (value) => {
    if (value === 'big') return { big: 2n ** 70n }
    throw Object.assign(new Error('no such thing'), { code: 'E_THING' })
  })
  const error = await mq.call('fails', 1).catch((e) => e)
  assert.equal(error.code, 'REMOTE')
  assert.equal(error.reason, 'no such thing')
  assert.equal(error.cause.code, 'E_THING')
  await assert.rejects(mq.call('fails', 'big'), { code: 'REMOTE', reason: /body\.big: a BigInt/ })
})

test('a call to a queue that is not there fails at once', async (t) => {
  const mq = await open(t)
  await assert.rejects(mq.call('nobody', 1), { code: 'NO_ROUTE', reason: "there is no queue 'nobody'" })
})

test('closing a connection ends its consumers quietly and its calls with an error', async () => {
  const mq = await connect('inproc://')
  const queue = await mq.queue('q')
  const consumer = queue.consume()
  const next = consumer.next()
  await consumer.started
  const call = mq.call('q', 1).catch((error) => error.code)
  await new Promise(setImmediate)
  const closed = once(mq, 'close')
  await mq.close()
  await closed
  assert.equal(mq.isOpen, false)
  assert.equal((await next).done, false) // the request itself
  assert.equal((await consumer.next()).done, true)
  assert.equal(await call, 'CLOSED')
  await mq.close()
  await assert.rejects(queue.send('x'), { code: 'CLOSED' })
  await assert.rejects(mq.queue('q'), { code: 'CLOSED' })
})

test('acknowledgements are handed over before the connection closes', async (t) => {
  const url = `inproc://${unique('acks')}`
  const stays = await open(t, url)
  const mq = await connect(url)
  const queue = await mq.queue('q')
  await queue.sendMany([1, 2])
  ;(await queue.get()).ack()
  await mq.close()
  assert.equal((await (await stays.queue('q')).info()).messageCount, 1)
})

test('what is disposed of is closed', async () => {
  const mq = await connect('inproc://')
  const queue = await mq.queue('q')
  const consumer = queue.consume()
  await consumer.started
  await consumer[Symbol.asyncDispose]()
  assert.equal((await queue.info()).consumerCount, 0)
  const channel = await mq.channel()
  await channel[Symbol.asyncDispose]()
  assert.equal(channel.isOpen, false)
  await mq[Symbol.asyncDispose]()
  assert.equal(mq.isOpen, false)
})
