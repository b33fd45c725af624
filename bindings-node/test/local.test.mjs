// `local:PATH`: what is durable is there again, and processes share it.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
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

test('what was acknowledged just before process.exit() does not come again', async () => {
  const url = await directory()
  await opened(url, async (mq) => {
    const tasks = await mq.queue('tasks', { durable: true })
    for (const n of [0, 1]) await tasks.send({ n })
  })
  const hasty = `
    import { connect } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
    const mq = await connect(process.argv[1])
    const message = await (await mq.queue('tasks', { durable: true })).get()
    message.ack()
    process.exit(0)
  `
  const child = spawn(process.execPath, ['--input-type=module', '-e', hasty, url], { stdio: 'inherit' })
  assert.deepEqual(await once(child, 'exit'), [0, null])
  await opened(url, async (mq) => {
    const tasks = await mq.queue('tasks', { durable: true })
    assert.deepEqual((await tasks.get()).json(), { n: 1 })
  })
})

/** What another process does that has the directory open until its standard input ends. */
const OTHER = `
  import { connect } from ${JSON.stringify(new URL('../dist/index.js', import.meta.url).href)}
  const mq = await connect(process.argv[1])
  await mq.serve('double', (number) => number * 2)
  console.log('open')
  process.stdin.on('end', () => mq.close()).resume()
`

/** Starts it. */
const other = async (url) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', OTHER, url], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  for await (const line of createInterface(child.stdout)) {
    assert.equal(line, 'open')
    return child
  }
  throw new Error('the other process does not start')
}

const ended = async (child) => {
  child.stdin.end()
  const [status] = await once(child, 'exit')
  assert.equal(status, 0)
}

test('two processes share a directory, whoever was first', async () => {
  const url = await directory()
  const first = await other(url)
  await opened(url, async (mq) => {
    assert.equal(mq.transport, 'local')
    const numbers = Array.from({ length: 50 }, (_, number) => number)
    const answers = await Promise.all(numbers.map((number) => mq.call('double', number, { timeout: 10_000 })))
    assert.deepEqual(
      answers,
      numbers.map((number) => number * 2),
    )
    const tasks = await mq.queue('tasks', { durable: true })
    await tasks.sendMany(Array.from({ length: 1000 }, (_, n) => ({ n })))
    const got = []
    for await (const message of tasks.consume({ prefetch: 100 })) {
      got.push(message.json().n)
      message.ack()
      if (got.length === 1000) break
    }
    assert.deepEqual(
      got,
      Array.from({ length: 1000 }, (_, n) => n),
    )
  })
  await ended(first)
})

/** Stops a process, and waits until it has: the signal alone may find it at work for a while. */
const stopped = async (child) => {
  child.kill('SIGSTOP')
  while (execFileSync('ps', ['-o', 'stat=', '-p', child.pid]).toString()[0] !== 'T') await setImmediate()
}

test('a process that has the directory and is stopped is named', async () => {
  const url = await directory()
  const first = await other(url)
  await stopped(first)
  await assert.rejects(connect(url, { timeout: 300 }), (error) => {
    assert.equal(error.code, 'TIMEOUT')
    assert.match(error.message, new RegExp(`in use by process ${first.pid}, which does not answer`))
    return true
  })
  first.kill('SIGCONT')
  await opened(url, async (mq) => assert.ok(mq.isOpen))
  await ended(first)
})

/** What happens first to a connection. */
const firstOf = (mq, ...names) => Promise.race(names.map(async (name) => [name, ...(await once(mq, name))]))

test('a host that hangs is named to who awaits something, and goes on where it was', async () => {
  const url = await directory()
  const host = await other(url)
  const mq = await connect(url, { hostTimeout: 2000 })
  const tasks = await mq.queue('tasks', { durable: true })
  host.kill('SIGSTOP')
  const named = {
    code: 'TIMEOUT',
    message: new RegExp(`process ${host.pid}, which has the directory, has given`),
  }
  const told = firstOf(mq, 'unresponsive')
  await assert.rejects(tasks.send('unknown'), named)
  await assert.rejects(tasks.get(), named)
  const [, error] = await told
  assert.match(error.message, named.message)
  const again = firstOf(mq, 'responsive', 'reconnected', 'close')
  host.kill('SIGCONT')
  assert.deepEqual(await again, ['responsive'])
  assert.equal((await tasks.get({ noAck: true })).text(), 'unknown')
  await mq.close()
  await ended(host)
})

test('a host lets AMQP clients in, and its status is told', async () => {
  const url = await directory()
  const mq = await connect(url, { listen: '127.0.0.1:0', name: 'door' })
  const tasks = await mq.queue('tasks', { durable: true })
  await tasks.send('hello')
  const [address] = mq.listening
  await opened(`amqp://guest:guest@${address}`, async (client) => {
    const same = await client.queue('tasks', { durable: true })
    assert.equal((await same.get({ noAck: true })).text(), 'hello')
  })
  const command = spawn(
    process.execPath,
    [join(import.meta.dirname, '../bin/warrenmq.cjs'), 'status', '--json', url.slice('local:'.length)],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [text] = await Promise.all([command.stdout.toArray(), once(command, 'exit')])
  const told = JSON.parse(Buffer.concat(text))
  assert.equal(told.host.process, process.pid)
  assert.deepEqual(told.host.listening, [`amqp://${address}`])
  assert.deepEqual(
    told.attached.map((one) => [one.process, one.name]),
    [[process.pid, 'door']],
  )
  assert.deepEqual(
    told.queues.map((queue) => [queue.name, queue.counts.published, queue.counts.delivered]),
    [['tasks', 1, 1]],
  )
  await mq.close()
})

test('an attached connection lets AMQP clients in when it comes to host', async () => {
  const url = await directory()
  const host = await other(url)
  const mq = await connect(url, { listen: ['127.0.0.1:0'] })
  assert.deepEqual(mq.listening, [])
  const awake = setTimeout(() => {}, 20_000) // an idle connection does not keep the process alive
  const over = once(mq, 'reconnected')
  await ended(host)
  await over
  clearTimeout(awake)
  while (mq.listening.length === 0) await new Promise((resolve) => setTimeout(resolve, 10))
  await opened(`amqp://guest:guest@${mq.listening[0]}`, (client) => client.queue('tasks', { durable: true }))
  await mq.close()
})
