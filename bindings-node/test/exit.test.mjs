import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { finished, open, run, serve } from './helpers.mjs'

const clean = (result) =>
  assert.deepEqual(result, { stdout: '', stderr: '', timedOut: false, status: 0, signal: null })

test('an idle connection does not keep the process alive', async () => {
  clean(
    await run(`
      const mq = await connect('inproc://x')
      const queue = await mq.queue('q')
      await queue.send('x')
      ;(await queue.get()).ack()
      await mq.channel()
      mq.on('close', () => {})
    `),
  )
})

test('a consumer keeps it alive until it is cancelled', async () => {
  const { timedOut } = await run(`(await (await connect('inproc://')).queue('q')).consume(() => {})`, {
    timeout: 700,
  })
  assert.equal(timedOut, true)
  clean(
    await run(`
      const queue = await (await connect('inproc://')).queue('q')
      const consumer = queue.consume(() => {})
      setTimeout(() => consumer.cancel(), 50)
    `),
  )
})

test('a call under way keeps it alive, and what it used does not afterwards', async () => {
  const result = await run(`
    const mq = await connect('inproc://')
    const server = await mq.serve('echo', (value) => value)
    console.log(await mq.call('echo', 'hello'))
    await server.close()
  `)
  assert.deepEqual([result.status, result.stdout, result.timedOut], [0, 'hello\n', false])
})

test('an idle AMQP connection does not keep it alive, an operation under way does', async (t) => {
  const host = await open(t)
  const url = `amqp://${await host.listen('127.0.0.1:0')}`
  const result = await run(`
    const mq = await connect('${url}')
    const queue = await mq.queue('q')
    queue.send('x').then(({ confirmed }) => console.log(confirmed))
  `)
  assert.deepEqual([result.status, result.stdout, result.stderr], [0, 'true\n', ''])
})

test('a process that ends with everything open ends cleanly', async (t) => {
  const host = await open(t)
  const url = `amqp://${await host.listen('127.0.0.1:0')}`
  clean(
    await run(`
      import { Worker } from 'node:worker_threads'
      for (const url of ['inproc://x', '${url}']) {
        const mq = await connect(url)
        const queue = await mq.queue('q')
        queue.consume(async (message) => { if (Math.random() < 0.5) message.ack() })
        await mq.serve('s', (value) => value)
        mq.call('s', 1)
        for (let i = 0; i < 1000; i++) queue.send('x')
        await queue.get()
      }
      new Worker("require('warrenmq').connect('inproc://x').then((mq) => mq.serve('t', () => {}))", { eval: true, execArgv: [] })
      setTimeout(() => process.exit(), 200)
    `),
  )
})

test('an unawaited call that fails, and a handler that throws, do not crash the process', async () => {
  const result = await run(`
    const mq = await connect('inproc://')
    const queue = await mq.queue('q')
    const consumer = queue.consume(() => { throw new Error('mine') })
    await queue.send('x')
    setTimeout(() => consumer.cancel(), 50)
  `)
  assert.equal(result.status, 0)
  assert.match(result.stderr, /Error: mine/) // as a warning
})

test('connections that nobody holds are collected, and closed', async () => {
  const result = await run(
    `
    const stays = await connect('inproc://x')
    await (async () => {
      for (let i = 0; i < 50; i++) await (await connect('inproc://x')).queue('mine-' + i, { exclusive: true })
    })()
    const left = async () => {
      let count = 0
      for (let i = 0; i < 50; i++) await stays.queue('mine-' + i, { passive: true }).then(() => count++, (error) => { if (error.code === 'RESOURCE_LOCKED') count++ })
      return count
    }
    for (let i = 0; i < 50 && await left() > 2; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)) }
    console.log(await left() <= 2)
  `,
    { args: ['--expose-gc'] },
  )
  assert.deepEqual([result.stdout, result.stderr], ['true\n', ''])
})

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`warrenmq serve says where it is ready, and stops with status 0 on ${signal}`, async () => {
    const command = join(import.meta.dirname, '../bin/warrenmq.cjs')
    const args = [command, 'serve', '--memory', '--amqp', '127.0.0.1:0']
    const result = await finished(spawn(process.execPath, args), { kill: signal })
    assert.match(result.stdout, /^ready amqp:\/\/127\.0\.0\.1:\d+\n$/)
    assert.deepEqual([result.status, result.signal, result.timedOut], [0, null, false])
  })
}

test('warrenmq with a command that it does not know says how it is used', async () => {
  const result = await finished(
    spawn(process.execPath, [join(import.meta.dirname, '../bin/warrenmq.cjs'), 'dig']),
  )
  assert.equal(result.status, 2)
  assert.match(result.stderr, /Usage/)
})

test('a client can use what warrenmq serve serves', async (t) => {
  const { url, child } = await serve(t)
  const mq = await open(t, url)
  assert.equal((await (await mq.queue('q')).send('x')).routed, true)
  await mq.close()
  child.kill()
  assert.equal((await finished(child)).status, 0)
})
