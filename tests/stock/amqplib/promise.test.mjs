// The scenarios with amqplib's promise API.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import { connect } from 'amqplib'
import { fib, Inbox, URL, unique } from './words.mjs'

let producer, consumer // two connections, as two programs would have them

beforeEach(async () => {
  ;[producer, consumer] = await Promise.all([connect(URL), connect(URL)])
})

afterEach(() => Promise.all([producer, consumer].map((one) => one.close().catch(() => {}))))

/** A channel whose errors are kept, so that they can be looked at. */
async function channelOf(connection) {
  const channel = await connection.createConfirmChannel()
  channel.on('error', (error) => (channel.failure = error))
  return channel
}

async function send(channel, queue, ...bodies) {
  for (const body of bodies) channel.sendToQueue(queue, Buffer.from(body))
  await channel.waitForConfirms()
}

/** All messages waiting in the queue. */
async function drain(channel, queue) {
  const drained = []
  for (;;) {
    const message = await channel.get(queue, { noAck: true })
    if (!message) return drained
    drained.push(message)
  }
}

test('hello world: the message waits for a consumer that starts later', async () => {
  const queue = unique('hello')
  const sending = await producer.createChannel()
  await sending.assertQueue(queue, { durable: false })
  sending.sendToQueue(queue, Buffer.from('Hello World!'))
  await sending.close() // amqplib may send a connection's close before a channel's last frames
  await producer.close()
  const receiving = await consumer.createChannel()
  await receiving.assertQueue(queue, { durable: false })
  const inbox = new Inbox()
  await receiving.consume(queue, inbox.push, { noAck: true })
  const message = await inbox.take()
  assert.equal(message.content.toString(), 'Hello World!')
  assert.equal(message.fields.redelivered, false)
  await receiving.deleteQueue(queue)
})

for (const body of ['', '\0', 'Grüße 🐇', Buffer.alloc(16 << 20, 'abc')]) {
  test(`a body of ${Buffer.byteLength(body)} bytes survives`, async () => {
    const receiving = await consumer.createChannel()
    const { queue } = await receiving.assertQueue('', { exclusive: true })
    const inbox = new Inbox()
    await receiving.consume(queue, inbox.push, { noAck: true })
    ;(await producer.createChannel()).sendToQueue(queue, Buffer.from(body))
    assert.ok((await inbox.take()).content.equals(Buffer.from(body)))
  })
}

test('properties and typed headers survive', async () => {
  const receiving = await consumer.createChannel()
  const { queue } = await receiving.assertQueue('', { exclusive: true })
  const headers = {
    text: 'ü',
    yes: true,
    int: -1,
    big: 2 ** 40,
    half: 0.5,
    none: null,
    list: [1, 'two', [true]],
    table: { a: { b: 1 } },
  }
  const sending = await channelOf(producer)
  sending.sendToQueue(queue, Buffer.from('x'), {
    headers,
    persistent: true,
    contentType: 'text/plain',
    contentEncoding: 'utf-8',
    priority: 3,
    correlationId: 'c',
    replyTo: 'r',
    expiration: '60000',
    messageId: 'm',
    timestamp: 1700000000,
    type: 't',
    userId: 'guest',
    appId: 'a',
  })
  await sending.waitForConfirms()
  const { properties } = await receiving.get(queue, { noAck: true })
  assert.deepEqual(properties.headers, headers)
  assert.equal(properties.deliveryMode, 2)
  assert.equal(properties.timestamp, 1700000000)
  assert.equal(properties.userId, 'guest')
})

test('two workers share five tasks round robin; a lost worker’s tasks go to the other, redelivered', async () => {
  const sending = await channelOf(producer)
  const queue = unique('task_queue')
  await sending.assertQueue(queue, { durable: true })
  const one = await consumer.createChannel()
  const [mine, yours] = [new Inbox(), new Inbox()]
  await one.consume(queue, mine.push)
  const two = await producer.createChannel()
  await two.consume(queue, yours.push)
  for (const task of ['1', '2', '3', '4', '5']) sending.sendToQueue(queue, Buffer.from(task), { persistent: true })
  await sending.waitForConfirms()
  one.ack(await mine.take())
  assert.deepEqual([await mine.text(), await mine.text()], ['3', '5'])
  assert.deepEqual([await yours.text(), await yours.text()], ['2', '4'])
  await one.close()
  await consumer.close()
  for (const expected of ['3', '5']) {
    const task = await yours.take()
    assert.equal(task.content.toString(), expected)
    assert.equal(task.fields.redelivered, true)
  }
  await sending.deleteQueue(queue)
})

for (const global of [false, true]) {
  test(`prefetch 1 ${global ? 'of the channel' : 'of each consumer'} holds back until the ack`, async () => {
    const receiving = await consumer.createChannel()
    await receiving.prefetch(1, global)
    const { queue } = await receiving.assertQueue('', { exclusive: true })
    const [a, b] = [new Inbox(), new Inbox()]
    await receiving.consume(queue, a.push)
    await receiving.consume(queue, b.push)
    await send(await channelOf(producer), queue, '1', '2', '3')
    const first = await a.take()
    if (!global) assert.equal(await b.text(), '2')
    const { messageCount } = await receiving.checkQueue(queue)
    assert.deepEqual([messageCount, a.size, b.size], [global ? 2 : 1, 0, 0])
    receiving.ack(first)
    assert.equal(await (global ? b : a).text(), global ? '2' : '3')
  })
}

test('nacked and rejected messages return to their places', async () => {
  const channel = await channelOf(consumer)
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await send(channel, queue, '1', '2', '3', '4')
  const [first, second, third] = [await channel.get(queue), await channel.get(queue), await channel.get(queue)]
  channel.nack(third)
  channel.reject(first)
  channel.ack(second)
  const left = (await drain(channel, queue)).map(({ content, fields }) => [content.toString(), fields.redelivered])
  assert.deepEqual(left, [
    ['1', true],
    ['3', true],
    ['4', false],
  ])
})

test('ackAll, nackAll and recover reach all that is unacked', async () => {
  const channel = await channelOf(consumer)
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await send(channel, queue, '1', '2')
  await channel.get(queue)
  await channel.get(queue)
  await channel.recover()
  assert.equal((await channel.get(queue)).fields.redelivered, true)
  channel.nackAll(true)
  assert.equal((await channel.get(queue)).content.toString(), '1')
  channel.ackAll()
  assert.equal((await channel.get(queue)).content.toString(), '2')
})

test('every subscriber of a fanout sees every message', async () => {
  const sending = await channelOf(producer)
  const logs = unique('logs')
  await sending.assertExchange(logs, 'fanout', { durable: false, autoDelete: true })
  const inboxes = [new Inbox(), new Inbox()]
  for (const inbox of inboxes) {
    const receiving = await consumer.createChannel()
    const { queue } = await receiving.assertQueue('', { exclusive: true })
    assert.match(queue, /^amq\.gen-/)
    await receiving.bindQueue(queue, logs, '')
    await receiving.consume(queue, inbox.push, { noAck: true })
  }
  for (const body of ['1', '2', '3']) sending.publish(logs, 'ignored', Buffer.from(body))
  for (const inbox of inboxes)
    assert.deepEqual([await inbox.text(), await inbox.text(), await inbox.text()], ['1', '2', '3'])
})

test('direct, topic and headers exchanges route', async () => {
  const channel = await channelOf(consumer)
  const routes = [
    ['direct', [['error'], ['warning']], ['info', 'warning', 'error'], ['warning', 'error']],
    [
      'topic',
      [['mysql.*'], ['*.info'], ['critical*']],
      ['mysql.info', 'redis.info', 'mysql', 'critical.disk', 'critical*'],
      ['mysql.info', 'redis.info', 'critical*'],
    ],
    [
      'headers',
      [['', { 'x-match': 'any', a: 1, b: 'two' }]],
      [{ a: 1 }, { b: 'two' }, { a: '1' }, {}],
      [{ a: 1 }, { b: 'two' }],
    ],
  ]
  for (const [type, bindings, sent, expected] of routes) {
    const exchange = unique(type)
    await channel.assertExchange(exchange, type, { durable: false, autoDelete: true })
    const { queue } = await channel.assertQueue('', { exclusive: true })
    for (const [key, headers] of bindings) await channel.bindQueue(queue, exchange, key, headers)
    for (const one of sent)
      channel.publish(exchange, typeof one === 'string' ? one : '', Buffer.from(JSON.stringify(one)), {
        headers: typeof one === 'string' ? {} : one,
      })
    await channel.waitForConfirms()
    const got = await drain(channel, queue)
    assert.deepEqual(
      got.map(({ content }) => JSON.parse(content)),
      expected,
    )
  }
})

test('an exchange bound to an exchange passes messages on', async () => {
  const channel = await channelOf(consumer)
  const [from, to] = [unique('from'), unique('to')]
  await channel.assertExchange(from, 'direct', { durable: false, autoDelete: true })
  await channel.assertExchange(to, 'fanout', { durable: false, autoDelete: true })
  const { queue } = await channel.assertQueue('', { exclusive: true })
  await channel.bindExchange(to, from, 'error')
  await channel.bindQueue(queue, to, '')
  for (const key of ['info', 'error']) channel.publish(from, key, Buffer.from(key))
  await channel.waitForConfirms()
  assert.equal((await channel.get(queue, { noAck: true })).content.toString(), 'error')
  await channel.unbindExchange(to, from, 'error')
})

test('a mandatory message that nobody takes is returned before it is confirmed', async () => {
  const channel = await channelOf(producer)
  const seen = []
  channel.on('return', (message) =>
    seen.push(`returned ${message.fields.replyCode} ${message.fields.replyText} ${message.content}`),
  )
  channel.sendToQueue(unique('missing'), Buffer.from('x'), { mandatory: true }, (error) =>
    seen.push(`confirmed ${error}`),
  )
  await channel.waitForConfirms()
  assert.deepEqual(seen, ['returned 312 NO_ROUTE x', 'confirmed null'])
})

test('a thousand messages are confirmed', async () => {
  const channel = await channelOf(producer)
  const { queue } = await channel.assertQueue('', { exclusive: true })
  const confirmed = []
  for (let number = 0; number < 1000; number++)
    channel.sendToQueue(queue, Buffer.from('x'), {}, (error) => confirmed.push(error))
  await channel.waitForConfirms()
  assert.equal(confirmed.filter((error) => error === null).length, 1000)
  assert.equal((await channel.purgeQueue(queue)).messageCount, 1000)
})

test('errors have RabbitMQ’s codes and words, and close only their channel', async () => {
  const queue = unique('q')
  const attempts = [
    [404, `NOT_FOUND - no queue '${queue}.missing' in vhost '/'`, (channel) => channel.checkQueue(`${queue}.missing`)],
    [404, `NOT_FOUND - no exchange '${queue}' in vhost '/'`, (channel) => channel.checkExchange(queue)],
    [
      403,
      "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
      (channel) => channel.assertQueue('amq.mine'),
    ],
    [
      405,
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'`,
      (channel) => channel.checkQueue(queue),
    ],
  ]
  await (await producer.createChannel()).assertQueue(queue, { exclusive: true })
  for (const [code, text, attempt] of attempts) {
    const channel = await channelOf(consumer)
    await assert.rejects(attempt(channel), (error) => error.code === code && error.message.includes(text))
  }
  const channel = await channelOf(producer)
  const durable = { durable: false, exclusive: true, autoDelete: true }
  await assert.rejects(
    channel.assertQueue(queue, durable),
    (error) => error.code === 406 && error.message.includes("inequivalent arg 'auto_delete'"),
  )
  await consumer.createChannel()
})

test('an ack of an unknown tag closes the channel with 406', async () => {
  const channel = await consumer.createChannel()
  channel.ack({ fields: { deliveryTag: 42 } })
  const [error] = await once(channel, 'error')
  assert.equal(error.code, 406)
  assert.match(error.message, /unknown delivery tag 42/)
})

test('a consumer is told when its queue is deleted', async () => {
  const receiving = await consumer.createChannel()
  const queue = unique('q')
  await receiving.assertQueue(queue, { durable: false })
  const inbox = new Inbox()
  await receiving.consume(queue, inbox.push)
  await (await producer.createChannel()).deleteQueue(queue)
  assert.equal(await inbox.take(), null)
})

for (const direct of [true, false]) {
  test(`calls find their answers over ${direct ? 'direct reply-to' : 'an exclusive reply queue'}`, async () => {
    const serving = await consumer.createChannel()
    const { queue: requests } = await serving.assertQueue('', { exclusive: true })
    await serving.prefetch(1)
    await serving.consume(requests, (request) => {
      const { replyTo, correlationId } = request.properties
      serving.sendToQueue(replyTo, Buffer.from(String(fib(Number(request.content)))), { correlationId })
      serving.ack(request)
    })
    const asking = await producer.createChannel()
    const replyTo = direct ? 'amq.rabbitmq.reply-to' : (await asking.assertQueue('', { exclusive: true })).queue
    const inbox = new Inbox()
    await asking.consume(replyTo, inbox.push, { noAck: true })
    for (const n of [30, 35, 40])
      asking.sendToQueue(requests, Buffer.from(String(n)), { replyTo, correlationId: `fib ${n}` })
    const answers = {}
    for (let count = 0; count < 3; count++) {
      const { properties, content } = await inbox.take()
      answers[properties.correlationId] = Number(content)
    }
    assert.deepEqual(answers, { 'fib 30': 832040, 'fib 35': 9227465, 'fib 40': 102334155 })
  })
}

test('an idle connection lives on its heartbeats', async () => {
  const connection = await connect(`${URL}?heartbeat=1`)
  const other = await connect(`${URL}?heartbeat=1`)
  let closed = false
  connection.on('close', () => (closed = true))
  const channel = await connection.createChannel()
  await new Promise((resolve) => setTimeout(resolve, 4000)) // twice as long as a silent peer is given
  assert.equal(closed, false)
  await channel.assertQueue('', { exclusive: true })
  await Promise.all([connection.close(), other.close()])
})

test('a wrong password is refused with 403', async () => {
  await assert.rejects(connect(URL.replace('guest:guest', 'guest:wrong')), /403 \(ACCESS[-_]REFUSED\)/)
})
