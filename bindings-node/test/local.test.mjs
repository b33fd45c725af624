// `local:PATH`: what is durable is there again.

import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { connect } from '../dist/index.js'

/** Has `use` work with the directory open. */
const opened = async (url, use) => {
  const mq = await connect(url)
  try {
    await use(mq)
  } finally {
    await mq.close()
  }
}

const directory = async () => `local:${join(await mkdtemp(join(tmpdir(), 'warrenmq-')), 'queues')}`

test('what was sent is there when the directory is opened again', async () => {
  const url = await directory()
  await opened(url, async (mq) => {
    assert.equal(mq.transport, 'local')
    const tasks = await mq.queue('tasks', { durable: true })
    for (const n of [0, 1, 2]) await tasks.send({ n })
  })
  await opened(url, async (mq) => {
    const tasks = await mq.queue('tasks', { durable: true })
    const first = await tasks.get()
    assert.deepEqual([first.json(), first.redelivered], [{ n: 0 }, false])
    first.ack()
    assert.deepEqual((await tasks.get()).json(), { n: 1 })
  })
  await opened(url, async (mq) => {
    const tasks = await mq.queue('tasks', { durable: true })
    const got = [await tasks.get(), await tasks.get()].map((message) => [
      message.json().n,
      message.redelivered,
    ])
    assert.deepEqual(got, [
      [1, true],
      [2, false],
    ])
    assert.equal(await tasks.get(), null)
  })
})

test('connections of one process share the directory', async () => {
  const url = await directory()
  await opened(url, (one) =>
    opened(url, async (other) => {
      await (await one.queue('tasks', { durable: true })).send('hello')
      assert.equal((await (await other.queue('tasks', { durable: true })).get()).text(), 'hello')
    }),
  )
})
