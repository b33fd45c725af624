// amqp-connection-manager through a network that fails: what it was given to send arrives, what it set up comes back.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { afterEach, beforeEach, test } from 'node:test'
import * as manager from 'amqp-connection-manager'
import { connect } from 'amqplib'
import { Proxy } from '../../support/proxy.mjs'
import { Inbox, URL, unique } from '../amqplib/words.mjs'

const QUICK = { reconnectTimeInSeconds: 0.1, heartbeatIntervalInSeconds: 5 }

let proxy, steady // the network, and a channel that does not use it
const opened = []

beforeEach(async () => {
  proxy = await Proxy.to(URL)
  steady = await (await connect(URL)).createConfirmChannel()
})

afterEach(async () => {
  await Promise.all(opened.splice(0).map((one) => one.close()))
  await steady.connection.close()
  proxy.down()
})

function managed(urls = proxy.url, options = {}) {
  const connection = manager.connect(urls, { ...QUICK, ...options })
  connection.on('disconnect', () => {}) // it would be no error in an application either
  opened.push(connection)
  return connection
}

/** Break the connections, and wait until the channel is set up again. */
async function cut(channel) {
  const again = once(channel, 'connect')
  proxy.cut()
  await again
}

test('a message given before the connection is there arrives', async () => {
  const queue = unique('q')
  const channel = managed().createChannel({
    json: true,
    setup: (channel) => channel.assertQueue(queue, { autoDelete: true }),
  })
  await channel.sendToQueue(queue, { hello: 'world' })
  const inbox = new Inbox()
  await steady.consume(queue, inbox.push, { noAck: true })
  assert.deepEqual(JSON.parse(await inbox.text()), { hello: 'world' })
})

test('messages wait while the broker is away, and arrive in order when it is back', async () => {
  const queue = unique('q')
  const connection = managed()
  const channel = connection.createChannel({ setup: (channel) => channel.assertQueue(queue, { autoDelete: true }) })
  await channel.waitForConnect()
  const away = once(connection, 'disconnect')
  proxy.down()
  await away
  const sent = Array.from({ length: 100 }, (_, number) => channel.sendToQueue(queue, Buffer.from(String(number))))
  assert.equal(channel.queueLength(), 100)
  await proxy.up()
  await Promise.all(sent)
  const inbox = new Inbox()
  await steady.consume(queue, inbox.push, { noAck: true })
  for (let number = 0; number < 100; number++) assert.equal(await inbox.text(), String(number))
})

test('a publish that waits longer than its timeout is refused', async () => {
  const connection = managed()
  const channel = connection.createChannel({ publishTimeout: 200 })
  await channel.waitForConnect()
  const away = once(connection, 'disconnect')
  proxy.down()
  await away
  await assert.rejects(channel.sendToQueue('any', Buffer.from('x')), /timeout/)
})

test('setup runs again after a cut, and consumers consume again', async () => {
  const [exchange, queue] = [unique('x'), unique('q')]
  const inbox = new Inbox()
  let setups = 0
  const channel = managed().createChannel({
    async setup(channel) {
      setups++
      await channel.assertExchange(exchange, 'topic', { durable: false })
      await channel.assertQueue(queue, { exclusive: true })
      await channel.bindQueue(queue, exchange, 'news.*')
    },
  })
  await channel.waitForConnect()
  await channel.consume(queue, inbox.push, { prefetch: 5 })
  for (const round of ['1', '2', '3']) {
    steady.publish(exchange, 'news.today', Buffer.from(round))
    const message = await inbox.take()
    assert.equal(message.content.toString(), round)
    channel.ack(message)
    await cut(channel)
  }
  assert.equal(setups, 4)
  await steady.deleteExchange(exchange)
})

test('what was not acked before a cut is delivered again', async () => {
  const queue = unique('q')
  const inbox = new Inbox()
  const channel = managed().createChannel({ setup: (channel) => channel.assertQueue(queue) })
  await channel.consume(queue, inbox.push)
  await channel.sendToQueue(queue, Buffer.from('x'))
  const first = await inbox.take()
  await cut(channel)
  const again = await inbox.take()
  assert.deepEqual([first.fields.redelivered, again.fields.redelivered], [false, true])
  channel.ack(again)
  await channel.cancelAll() // or it would consume again from what is deleted
  await channel.deleteQueue(queue)
})

test('a consumer that is cancelled stays cancelled after a cut', async () => {
  const queue = unique('q')
  const inbox = new Inbox()
  const channel = managed().createChannel({ setup: (channel) => channel.assertQueue(queue) })
  const { consumerTag } = await channel.consume(queue, inbox.push)
  await channel.cancel(consumerTag)
  await cut(channel)
  await channel.sendToQueue(queue, Buffer.from('x'))
  assert.equal((await channel.get(queue, { noAck: true })).content.toString(), 'x')
  await channel.deleteQueue(queue)
})

test('of several brokers the next is tried when one is down', async () => {
  proxy.down()
  const connection = managed([proxy.url, URL])
  const failed = once(connection, 'connectFailed')
  const [{ url }] = await once(connection, 'connect')
  assert.equal(url, URL)
  assert.equal((await failed)[0].url, proxy.url)
})

test('an exchange that does not exist refuses the message, and the channel serves on', async () => {
  const queue = unique('q')
  const channel = managed().createChannel({ setup: (channel) => channel.assertQueue(queue, { autoDelete: true }) })
  channel.on('error', () => {})
  await channel.waitForConnect()
  await assert.rejects(channel.publish(unique('nowhere'), '', Buffer.from('x')), /channel closed|404/)
  await channel.sendToQueue(queue, Buffer.from('x'))
  const inbox = new Inbox()
  await steady.consume(queue, inbox.push, { noAck: true })
  assert.equal(await inbox.text(), 'x')
})

test('a setup that the broker refuses is told with its reply code', async () => {
  const queue = unique('q')
  await steady.assertQueue(queue, { exclusive: true })
  const channel = managed(URL).createChannel({
    name: 'refused',
    setup: (channel) => channel.assertQueue(queue, { durable: false }),
  })
  const [error, { name }] = await once(channel, 'error')
  assert.equal(name, 'refused')
  assert.match(error.message, /405 .*RESOURCE-LOCKED|RESOURCE_LOCKED/)
})

test('wrong credentials fail the connection, and are tried again', async () => {
  const wrong = URL.replace('guest:guest', 'guest:wrong')
  const connection = managed(wrong)
  for (let times = 0; times < 2; times++) {
    const [{ err }] = await once(connection, 'connectFailed')
    assert.match(err.message, /403|ACCESS_REFUSED|ACCESS-REFUSED/)
  }
})

test('a connection closed on purpose opens again when told to', async () => {
  const connection = managed(URL)
  await once(connection, 'connect')
  const again = once(connection, 'connect')
  connection.reconnect()
  await again
  assert.ok(connection.isConnected())
})
