// rabbitmq-client: a client of Node with a codec, publisher and consumer of its own, which reconnects by itself.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import { Connection, ConsumerStatus } from 'rabbitmq-client'
import { Proxy } from '../../support/proxy.mjs'
import { Inbox, URL, unique } from '../amqplib/words.mjs'

let proxy, connection, queue

beforeEach(async () => {
  proxy = await Proxy.to(URL)
  connection = new Connection({ url: proxy.url, retryLow: 50, retryHigh: 200 })
  connection.on('error', () => {}) // a lost connection is one, and is made again
  queue = unique('q')
})

afterEach(async () => {
  await connection.close()
  proxy.down()
})

/** A consumer of the queue that puts what arrives in an inbox; `answer` is what it says to each message. */
async function consume(options = {}, answer = () => ConsumerStatus.ACK) {
  const inbox = new Inbox()
  const consumer = connection.createConsumer(
    { queue, queueOptions: { queue, exclusive: true }, ...options },
    async (message) => {
      inbox.push(message)
      return answer(message)
    },
  )
  consumer.on('error', () => {})
  await once(consumer, 'ready')
  return { inbox, consumer }
}

test('objects, text and bytes arrive as what they were', async () => {
  const { inbox, consumer } = await consume({ noAck: true })
  const publisher = connection.createPublisher({ confirm: true })
  for (const body of [{ a: [1, null] }, 'Grüße', Buffer.from([0, 255])]) {
    await publisher.send({ routingKey: queue, headers: { n: 1, list: ['a', { b: true }] }, priority: 3 }, body)
    const message = await inbox.take()
    assert.deepEqual(message.body, body)
    assert.deepEqual(message.headers, { n: 1, list: ['a', { b: true }] })
  }
  await publisher.close()
  await consumer.close()
})

test('a message that is requeued comes back, one that is dropped is dead-lettered', async () => {
  const dead = unique('dead')
  const lost = await consume({ queue: dead, queueOptions: { queue: dead, exclusive: true }, noAck: true })
  const queueOptions = {
    queue,
    exclusive: true,
    arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead },
  }
  const { inbox, consumer } = await consume({ queueOptions, qos: { prefetchCount: 1 } }, ({ redelivered }) =>
    redelivered ? ConsumerStatus.DROP : ConsumerStatus.REQUEUE,
  )
  const publisher = connection.createPublisher({ confirm: true })
  await publisher.send(queue, 'x')
  assert.deepEqual([(await inbox.take()).redelivered, (await inbox.take()).redelivered], [false, true])
  const { headers } = await lost.inbox.take()
  assert.equal(headers['x-death'][0].reason, 'rejected')
  await publisher.close()
  await consumer.close()
  await lost.consumer.close()
})

test('calls are answered', async () => {
  const server = connection.createConsumer(
    { queue, queueOptions: { queue, exclusive: true } },
    async ({ body }, reply) => reply(body * 2),
  )
  await once(server, 'ready')
  const client = connection.createRPCClient({ confirm: true, timeout: 10_000 })
  const answers = await Promise.all(Array.from({ length: 50 }, (_, number) => client.send(queue, number)))
  assert.deepEqual(
    answers.map(({ body }) => body),
    Array.from({ length: 50 }, (_, number) => number * 2),
  )
  await client.close()
  await server.close()
})

test('consumers, queues and bindings come back after a cut, and a publisher tries again', async () => {
  const exchange = unique('x')
  const exchanges = [{ exchange, type: 'topic', autoDelete: true }]
  const queueBindings = [{ exchange, routingKey: 'news.*' }]
  const { inbox, consumer } = await consume({ exchanges, queueBindings })
  const publisher = connection.createPublisher({ confirm: true, maxAttempts: 10 })
  for (let round = 0; round < 3; round++) {
    await publisher.send({ exchange, routingKey: 'news.today' }, String(round))
    assert.equal((await inbox.take()).body, String(round))
    const again = once(consumer, 'ready')
    proxy.cut()
    await again
  }
  await publisher.close()
  await consumer.close()
})

test('what cannot be routed comes back, and errors tell the reply code', async () => {
  const returned = new Inbox()
  const publisher = connection.createPublisher({ confirm: true })
  publisher.on('basic.return', returned.push)
  await publisher.send({ routingKey: unique('nobody'), mandatory: true }, 'x')
  const { replyCode, replyText } = await returned.take()
  assert.deepEqual([replyCode, replyText], [312, 'NO_ROUTE'])
  await publisher.close()
  await assert.rejects(connection.queueDeclare({ queue: unique('q'), passive: true }), { code: 'NOT_FOUND' })
  await assert.rejects(connection.exchangeDeclare({ exchange: 'amq.topic', type: 'direct' }), {
    code: 'PRECONDITION_FAILED',
  })
})
