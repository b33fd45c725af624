// Rascal: vhosts, exchanges, queues, bindings, retries and dead letters out of one configuration.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Rascal from 'rascal'
import { Inbox, URL, unique } from '../amqplib/words.mjs'

/** What Rascal's README recommends: a delay queue to come back from, and a queue for what failed for good. */
const configuration = (run) => ({
  vhosts: {
    '/': {
      connection: { url: URL, retry: { min: 100, max: 500 } },
      publicationChannelPools: { confirmPool: { max: 5, min: 1 } },
      exchanges: {
        [`service.${run}`]: { type: 'topic', options: { durable: false, autoDelete: true } },
        [`delay.${run}`]: { type: 'topic', options: { durable: false, autoDelete: true } },
        [`dead.${run}`]: { type: 'topic', options: { durable: false, autoDelete: true } },
      },
      queues: {
        [`orders.${run}`]: {
          options: { durable: false, autoDelete: true, arguments: { 'x-dead-letter-exchange': `dead.${run}` } },
        },
        [`delay.200ms.${run}`]: {
          options: {
            durable: false,
            expires: 60_000,
            arguments: { 'x-message-ttl': 200, 'x-dead-letter-exchange': `service.${run}` },
          },
        },
        [`dead.${run}`]: { options: { durable: false, autoDelete: true } },
      },
      bindings: [
        `service.${run}[order.#] -> orders.${run}`,
        `delay.${run}[#] -> delay.200ms.${run}`,
        `dead.${run}[#] -> dead.${run}`,
      ],
      publications: {
        order: { exchange: `service.${run}`, routingKey: 'order.created', confirm: true },
        again: { exchange: `delay.${run}`, options: { CC: [`order.again.${run}`] } },
      },
      subscriptions: {
        orders: { queue: `orders.${run}`, prefetch: 3, contentType: 'application/json' },
        dead: { queue: `dead.${run}`, contentType: 'application/json' },
      },
    },
  },
})

test('a message is tried again after a delay, republished with a count, and then dead-lettered', async () => {
  const run = unique('r')
  const broker = await Rascal.BrokerAsPromised.create(Rascal.withDefaultConfig(configuration(run)))
  broker.on('error', console.error)
  try {
    const attempts = new Inbox()
    const orders = await broker.subscribe('orders')
    orders.on('message', (message, _content, ackOrNack) => {
      attempts.push(message.properties.headers)
      ackOrNack(new Error('no luck'), [
        { strategy: 'forward', publication: 'again', attempts: 1, options: { routingKey: 'order.delayed' } },
        { strategy: 'republish', attempts: 2, defer: 50 },
        { strategy: 'nack' },
      ])
    })
    const lost = new Inbox()
    const dead = await broker.subscribe('dead')
    dead.on('message', (message, content, ackOrNack) => {
      lost.push({ content, headers: message.properties.headers })
      ackOrNack()
    })

    const publication = await broker.publish('order', { number: 17 })
    await new Promise((resolve, reject) => publication.on('success', resolve).on('error', reject))

    assert.equal((await attempts.take())['x-death'], undefined)
    assert.equal((await attempts.take())['x-death'][0].reason, 'expired')
    for (const _ of [1, 2]) await attempts.take()
    const { content, headers } = await lost.take()
    assert.deepEqual(content, { number: 17 })
    assert.equal(headers['x-death'][0].reason, 'rejected')
  } finally {
    await broker.nuke()
  }
})
