// NestJS microservices over the RMQ transport: requests, events, acks, wildcards, reconnection.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Logger } from '@nestjs/common'
import { RmqRecordBuilder, RpcException } from '@nestjs/microservices'
import { connect } from 'amqplib'
import { first, firstValueFrom, from, lastValueFrom, timeout, toArray } from 'rxjs'
import { Proxy } from '../../support/proxy.mjs'
import { Inbox, URL, unique } from '../amqplib/words.mjs'
import { client, onEvent, onMessage, serve } from './app.mjs'

Logger.overrideLogger(false)

let queue, raw
const opened = []

beforeEach(async () => {
  queue = unique('nest')
  raw = await (await connect(URL)).createConfirmChannel()
})

afterEach(async () => {
  await closeAll()
  await raw.deleteQueue(queue)
  await raw.connection.close()
})

/** Clients before services: a client may have its answer before the service has the broker's confirm for it. */
async function closeAll() {
  for (const one of opened.splice(0).reverse()) await one.close()
}

async function open(promise) {
  const one = await promise
  opened.push(one)
  return one
}

const server = (options, ...handlers) => open(serve({ urls: [URL], queue, ...options }, ...handlers))
const caller = (options) => open(client({ urls: [URL], queue, ...options }))
const ask = (client, pattern, data) => firstValueFrom(client.send(pattern, data).pipe(timeout(10_000)))

const sum = onMessage('sum', (numbers) => numbers.reduce((a, b) => a + b, 0))

test('a request is answered through direct reply-to', async () => {
  await server({}, sum)
  const client = await caller()
  assert.equal(await ask(client, 'sum', [1, 2, 3]), 6)
})

test('many requests at once get each its own answer', async () => {
  await server({ prefetchCount: 10 }, sum)
  await server({ prefetchCount: 10 }, sum)
  const client = await caller()
  const answers = await Promise.all(Array.from({ length: 200 }, (_, number) => ask(client, 'sum', [number, 1])))
  assert.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, number) => number + 1),
  )
})

test('a handler may answer with several values', async () => {
  await server(
    {},
    onMessage({ cmd: 'count' }, (upTo) => from(Array.from({ length: upTo }, (_, n) => n))),
  )
  const client = await caller()
  const all = client.send({ cmd: 'count' }, 4).pipe(toArray(), timeout(10_000))
  assert.deepEqual(await lastValueFrom(all), [0, 1, 2, 3])
})

test('errors travel back, and so does that nobody handles the pattern', async () => {
  await server(
    { noAck: false },
    onMessage('fail', () => {
      throw new RpcException('no luck')
    }),
  )
  const client = await caller()
  await assert.rejects(ask(client, 'fail', {}), { message: 'no luck' })
  await assert.rejects(ask(client, 'nothing', {}), /no matching message handler/)
})

test('an event reaches one of the services that share a queue', async () => {
  const inbox = new Inbox()
  const created = onEvent('created', (data) => inbox.push(data))
  await server({}, created)
  await server({}, created)
  const client = await caller()
  for (let number = 0; number < 10; number++) await firstValueFrom(client.emit('created', number), { defaultValue: null })
  const seen = []
  for (let number = 0; number < 10; number++) seen.push(await inbox.take())
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
})

test('with noAck false the handler acks, and prefetch bounds what it is given', async () => {
  const inbox = new Inbox()
  await server(
    { noAck: false, prefetchCount: 2, queueOptions: { durable: false } },
    onEvent('work', (data, context) => inbox.push({ data, context })),
  )
  const client = await caller({ queueOptions: { durable: false } })
  for (let number = 0; number < 3; number++) await firstValueFrom(client.emit('work', number), { defaultValue: null })
  const [first, second] = [await inbox.take(), await inbox.take()]
  assert.deepEqual([first.data, second.data], [0, 1])
  assert.equal((await raw.checkQueue(queue)).messageCount, 1)
  first.context.getChannelRef().nack(first.context.getMessage(), false, true)
  const again = await inbox.take()
  assert.deepEqual([again.data, again.context.getMessage().fields.redelivered], [0, true])
  for (const { context } of [second, again]) context.getChannelRef().ack(context.getMessage())
  const last = await inbox.take()
  assert.equal(last.data, 2)
  last.context.getChannelRef().ack(last.context.getMessage())
})

test('an event that nobody handles is dead-lettered', async () => {
  const dead = unique('dead')
  await raw.assertQueue(dead, { autoDelete: true })
  const queueOptions = { arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead } }
  await server({ noAck: false, queueOptions })
  const inbox = new Inbox()
  await raw.consume(dead, inbox.push, { noAck: true })
  const client = await caller({ queueOptions })
  client.emit('nothing', { x: 1 })
  const message = await inbox.take()
  assert.equal(JSON.parse(message.content).pattern, 'nothing')
  assert.equal(message.properties.headers['x-death'][0].reason, 'rejected')
})

test('a record carries headers, priority and expiration', async () => {
  const inbox = new Inbox()
  await server(
    { queueOptions: { maxPriority: 5 } },
    onMessage('sum', (numbers, context) => {
      inbox.push(context.getMessage().properties)
      return numbers[0]
    }),
  )
  const client = await caller({ queueOptions: { maxPriority: 5 }, headers: { every: 'one' } })
  const options = { headers: { 'x-version': '1' }, priority: 3, expiration: 60_000 }
  assert.equal(await ask(client, 'sum', new RmqRecordBuilder([7]).setOptions(options).build()), 7)
  const { headers, priority, expiration, replyTo } = await inbox.take()
  assert.deepEqual([headers['x-version'], headers.every, priority, expiration], ['1', 'one', 3, '60000'])
  assert.match(replyTo, /^amq\.rabbitmq\.reply-to\../)
})

test('wildcards route by topic, to the handler whose pattern fits', async () => {
  const inbox = new Inbox()
  const keep = (word) => (data, context) => inbox.push([word, data, context.getPattern()])
  await server(
    { wildcards: true },
    onEvent('orders.*', keep('one word')),
    onEvent('orders.eu.#', keep('any words')),
    onMessage('orders.sum.*', (numbers) => numbers.length),
  )
  const client = await caller({ wildcards: true })
  client.emit('orders.created', 1)
  assert.deepEqual(await inbox.take(), ['one word', 1, 'orders.created'])
  client.emit('orders.eu.paid.twice', 2)
  assert.deepEqual(await inbox.take(), ['any words', 2, 'orders.eu.paid.twice'])
  assert.equal(await ask(client, 'orders.sum.all', [1, 2, 3]), 3)
  await raw.deleteExchange(queue)
})

test('a fanout exchange brings an event to every service', async () => {
  const exchange = unique('everybody')
  const options = { exchange, exchangeType: 'fanout', queue: '', queueOptions: { exclusive: true } }
  const inboxes = [new Inbox(), new Inbox()]
  for (const inbox of inboxes) await server(options, onEvent('news', (data) => inbox.push(data)))
  const client = await caller({ exchange, exchangeType: 'fanout', queue: '' })
  client.emit('news', 'hello')
  for (const inbox of inboxes) assert.equal(await inbox.take(), 'hello')
  await raw.deleteExchange(exchange)
})

test('services and clients find each other again after a cut', async () => {
  const proxy = await Proxy.to(URL)
  let channel
  const adder = onMessage('sum', (numbers, context) => {
    channel = context.getChannelRef()
    return numbers.reduce((a, b) => a + b, 0)
  })
  await server({ urls: [proxy.url] }, adder)
  const client = await caller({ urls: [proxy.url] })
  assert.equal(await ask(client, 'sum', [1, 2]), 3)
  for (let times = 0; times < 2; times++) {
    // An answer whose confirm is cut off is an error that the service does not catch.
    await channel.waitForConfirms()
    const noticed = firstValueFrom(client.status.pipe(first((status) => status === 'disconnected')))
    proxy.cut()
    await noticed
    assert.equal(await answered(client, [times, 2]), times + 2)
  }
  await closeAll()
  proxy.down()
})

/** The answer to a request that is asked again as long as the client says that it has no connection. */
async function answered(client, numbers) {
  for (;;) {
    try {
      return await firstValueFrom(client.send('sum', numbers).pipe(timeout(2000)))
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}
