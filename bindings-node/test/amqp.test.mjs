import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect } from 'warrenmq'
import { open } from './helpers.mjs'

/** A connection over AMQP to a broker of the test's own, and the connection that hosts it. */
async function overAmqp(t) {
  const host = await open(t)
  const address = await host.listen('127.0.0.1:0')
  assert.match(address, /^127\.0\.0\.1:\d+$/)
  return { host, mq: await open(t, `amqp://guest:guest@${address}`) }
}

test('an AMQP client and the program that hosts the broker exchange messages', async (t) => {
  const { host, mq } = await overAmqp(t)
  assert.match(mq.url, /^amqp:\/\/guest:\*\*\*@/)
  assert.equal(mq.transport, 'amqp')
  const queue = await mq.queue('q')
  assert.deepEqual(await queue.send({ n: 1 }), { confirmed: true, routed: true })
  for await (const message of (await host.queue('q')).consume()) {
    assert.deepEqual(message.value(), { n: 1 })
    message.ack()
    break
  }
  assert.deepEqual(await queue.sendMany([1, 2, 3]), { confirmed: 3, unrouted: [] })
  const seen = []
  for await (const message of queue.consume()) {
    seen.push(message.json())
    message.ack()
    if (seen.length === 3) break
  }
  assert.deepEqual(seen, [1, 2, 3])
  assert.equal((await queue.info()).messageCount, 0)
})

test('an error closes the channel at the broker, and the connection goes on with another', async (t) => {
  const { mq } = await overAmqp(t)
  const queue = await mq.queue('q')
  await assert.rejects(mq.queue('nope', { passive: true }), {
    code: 'NOT_FOUND',
    replyText: "NOT_FOUND - no queue 'nope' in vhost '/'",
  })
  const gone = await mq.exchange('gone')
  await gone.delete()
  await assert.rejects(gone.publish('x'), { code: 'NOT_FOUND' })
  assert.equal((await queue.send('x')).routed, true)
  const message = await queue.get()
  message.ack()
  assert.equal(message.text(), 'x')
})

test('calls are served over AMQP', async (t) => {
  const { host, mq } = await overAmqp(t)
  await host.serve('add', ([a, b]) => a + b)
  assert.equal(await mq.call('add', [1, 2]), 3)
  await assert.rejects(mq.call('nobody', 1), { code: 'NO_ROUTE' })
})

test('a connection that its broker ends says why', async (t) => {
  const { host, mq } = await overAmqp(t)
  const closed = once(mq, 'close')
  const alive = setInterval(() => {}, 1000) // the connection alone does not keep the process alive
  await host.close()
  const [error] = await closed
  clearInterval(alive)
  assert.equal(error.code, 'CONNECTION_FORCED')
  assert.equal(mq.isOpen, false)
  await assert.rejects(mq.queue('q'), { code: 'CLOSED' })
})

test('a wrong password is refused', async (t) => {
  const host = await open(t)
  const address = await host.listen('127.0.0.1:0')
  await assert.rejects(connect(`amqp://guest:wrong@${address}`), { code: 'ACCESS_REFUSED' })
})

test('only the embedded broker listens', async (t) => {
  const { mq } = await overAmqp(t)
  await assert.rejects(mq.listen('127.0.0.1:0'), { code: 'UNSUPPORTED' })
})
