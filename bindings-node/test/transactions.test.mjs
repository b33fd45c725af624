import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open } from './helpers.mjs'

/** A transactional channel with its queue, and how many messages others find there; embedded and over AMQP. */
async function setUps(t) {
  const host = await open(t)
  const remote = await open(t, `amqp://${await host.listen('127.0.0.1:0')}`)
  const setUp = async (mq, name) => {
    const channel = await mq.channel()
    const queue = await channel.queue(name)
    const ready = async () => (await host.queue(name, { passive: true })).messageCount
    return { channel, queue, ready, outside: await host.queue(name) }
  }
  return [await setUp(host, 'inproc'), await setUp(remote, 'amqp')]
}

test('publishes wait for the commit', async (t) => {
  for (const { channel, queue, ready } of await setUps(t)) {
    await channel.txSelect()
    const held = { confirmed: false, routed: true }
    assert.deepEqual(await queue.send('one'), held)
    const byDefault = await channel.exchange('')
    assert.deepEqual(await byDefault.publish('two', queue.name, { mandatory: true }), held)
    assert.deepEqual(await queue.sendMany(['three', 'four']), { confirmed: 0, unrouted: [] })
    assert.equal(await ready(), 0)
    assert.deepEqual(await channel.txCommit(), [])
    assert.equal(await ready(), 4)
  }
})

test('the commit tells what no queue took', async (t) => {
  for (const { channel, queue } of await setUps(t)) {
    await channel.txSelect()
    await queue.send('one')
    await (await channel.exchange('')).publish('two', 'nowhere')
    assert.deepEqual(await channel.txCommit(), [1])
    assert.deepEqual(await channel.txCommit(), [])
  }
})

test('a rollback forgets publishes', async (t) => {
  for (const { channel, queue, ready } of await setUps(t)) {
    await channel.txSelect()
    await queue.send('one')
    await channel.txRollback()
    await channel.txCommit()
    assert.equal(await ready(), 0)
  }
})

test('what was rolled back can be acknowledged again', async (t) => {
  for (const { channel, queue, ready, outside } of await setUps(t)) {
    await outside.sendMany(['one', 'two', 'three'])
    await channel.txSelect()
    const [one, two, three] = [await queue.get(), await queue.get(), await queue.get()]
    two.ack({ multiple: true })
    three.nack()
    assert.equal(two.settled, true)
    await channel.txRollback()
    assert.equal(two.settled, false)
    assert.equal(await ready(), 0) // not even the one that was put back
    one.ack()
    assert.throws(() => one.ack(), { code: 'PRECONDITION_FAILED' })
    await channel.txCommit()
    assert.throws(() => one.ack(), { code: 'PRECONDITION_FAILED' })
    await channel.close()
    assert.equal(await ready(), 2)
  }
})

test('a transaction commits when its work is done and rolls back when that fails', async (t) => {
  for (const { channel, queue, ready } of await setUps(t)) {
    const result = await channel.transaction(async () => {
      await queue.send('one')
      assert.equal(await ready(), 0)
      return 'result'
    })
    assert.equal(result, 'result')
    assert.equal(await ready(), 1)
    const failing = channel.transaction(async () => {
      await queue.send('two')
      throw new Error('no')
    })
    await assert.rejects(failing, { message: 'no' })
    await channel.transaction(() => queue.send('three'))
    assert.equal(await ready(), 2)
  }
})

test('there is no commit without a transaction', async (t) => {
  for (const { channel } of await setUps(t)) {
    await assert.rejects(channel.txCommit(), { code: 'PRECONDITION_FAILED' })
  }
})
