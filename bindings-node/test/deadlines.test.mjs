import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from './helpers.mjs'

test('a delivery whose time is put off stays, and others go back', async (t) => {
  const host = await open(t)
  const remote = await open(t, `amqp://${await host.listen('127.0.0.1:0')}`)
  for (const mq of [host, remote]) {
    const queue = await mq.queue(mq.transport, { consumerTimeout: 100 })
    await queue.sendMany(['slow', 'slower'])
    const messages = queue.consume()
    const slow = await messages.get()
    await messages.get()
    slow.extend(60_000) // its time would come first
    const again = await messages.get({ timeout: 5000 })
    assert.deepEqual([again.text(), again.redelivered], ['slower', true])
    slow.ack()
    again.ack()
    assert.throws(() => slow.extend(1), { code: 'PRECONDITION_FAILED' })
    await messages.return()
    assert.equal(await queue.get(), null)
  }
})

test('a time is put off by a number, of what is to be acknowledged', async (t) => {
  const queue = await (await open(t)).queue('q')
  await queue.sendMany(['x', 'y'])
  const message = await queue.get()
  assert.throws(() => message.extend(-1), { code: 'INVALID_ARGUMENT' })
  const done = await queue.get({ noAck: true })
  assert.throws(() => done.extend(1), { code: 'PRECONDITION_FAILED' })
})
