import assert from 'node:assert/strict'
import { test } from 'node:test'
import { open, run, serve } from './helpers.mjs'

test('publishes that nobody awaits are all made, and cost no memory of JavaScript’s', async (t) => {
  const queue = await (await open(t)).queue('q')
  const body = Buffer.alloc(16)
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 200_000; i++) queue.send(body)
  const grown = process.memoryUsage().heapUsed - before
  assert.equal((await queue.info()).messageCount, 200_000)
  assert.ok(grown < 32 << 20, `${grown} bytes`)
})

test('whoever awaits each publish lets the event loop go round', async (t) => {
  const queue = await (await open(t)).queue('q')
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  for (let i = 0; i < 100_000; i++) await queue.send('x')
  clearInterval(timer)
  assert.ok(turns > 0)
})

test('when the broker does not answer, publishes beyond those that may be under way are refused', async (t) => {
  const { child, url } = await serve(t)
  const queue = await (await open(t, url)).queue('q')
  const body = Buffer.alloc(16)
  child.kill('SIGSTOP')
  const sending = Promise.allSettled(Array.from({ length: 70_000 }, () => queue.send(body)))
  await assert.rejects(queue.sendMany(Array(65_537).fill(body)), { code: 'BACKPRESSURE' })
  child.kill('SIGCONT')
  const settled = await sending
  const refused = settled.filter(({ status }) => status === 'rejected')
  for (const { reason } of refused) assert.equal(reason.code, 'BACKPRESSURE')
  assert.ok(refused.length > 0 && refused.length <= 70_000 - 65_536, `${refused.length} were refused`)
  assert.equal((await queue.send(body)).routed, true)
  assert.equal((await queue.info()).messageCount, 70_000 - refused.length + 1)
})

test('a publish that succeeds and is not awaited is no unhandled rejection; one that fails is', async () => {
  const fine = await run(`
    const queue = await (await connect('inproc://')).queue('q')
    for (let i = 0; i < 1000; i++) queue.send('x')
    queue.sendMany(['x'])
  `)
  assert.deepEqual([fine.status, fine.stderr], [0, ''])
  const failing = await run(`
    process.on('unhandledRejection', (error) => console.log(error.code))
    const queue = await (await connect('inproc://')).queue('q')
    queue.send(1n)
  `)
  assert.deepEqual([failing.status, failing.stdout], [0, 'INVALID_ARGUMENT\n'])
})
