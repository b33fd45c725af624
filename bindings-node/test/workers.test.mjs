import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { open, take, turn, unique } from './helpers.mjs'

/** A worker thread that runs `source` with `connect`, `parentPort` and the URL in `workerData`. */
function start(source, url) {
  const imports = `
    const { connect } = require('warrenmq')
    const { parentPort, workerData } = require('node:worker_threads')
    ;(async () => {${source}})()
  `
  return new Worker(imports, { eval: true, workerData: url })
}

test('worker threads and the main thread share one broker', async (t) => {
  const url = `inproc://${unique('shared')}`
  const mq = await open(t, url)
  const tasks = await mq.queue('tasks')
  const results = await mq.queue('results')
  const source = `
    const mq = await connect(workerData)
    const results = await mq.queue('results')
    for await (const message of (await mq.queue('tasks')).consume({ prefetch: 10 })) {
      await results.send(message.json() ** 2)
      message.ack()
    }
  `
  const workers = [start(source, url), start(source, url), start(source, url)]
  const count = 3000
  for (let n = 0; n < count; n++) await tasks.send(n)
  const squares = (await take(results.consume({ noAck: true }), count)).map((message) => message.json())
  squares.sort((a, b) => a - b)
  assert.deepEqual(
    squares,
    Array.from({ length: count }, (_, n) => n * n),
  )
  for (const worker of workers) await worker.terminate()
})

test('what a terminated worker had not acknowledged goes back to its queue', async (t) => {
  const url = `inproc://${unique('terminated')}`
  const queue = await (await open(t, url)).queue('q')
  await queue.sendMany(Array(50).fill('x'))
  const worker = start(
    `
    const consumer = (await (await connect(workerData)).queue('q')).consume()
    for (let i = 0; i < 10; i++) await consumer.get()
    parentPort.postMessage('holding')
    `,
    url,
  )
  await once(worker, 'message')
  assert.equal((await queue.info()).messageCount, 0)
  await worker.terminate()
  assert.deepEqual(await queue.info(), { name: 'q', messageCount: 50, consumerCount: 0 })
})

test('messages that arrive while their worker ends harm nobody', async (t) => {
  const url = `inproc://${unique('ends')}`
  const mq = await open(t, url)
  const queue = await mq.queue('q')
  await mq.serve('answers', (value) => value)
  const source = `
    const mq = await connect(workerData)
    const queue = await mq.queue('q')
    queue.consume({ prefetch: 5 }, (message) => message.ack())
    parentPort.postMessage('running')
    for (;;) await mq.call('answers', 1)
  `
  for (let round = 0; round < 10; round++) {
    const workers = [start(source, url), start(source, url)]
    await Promise.all(workers.map((worker) => once(worker, 'message')))
    const ended = Promise.all(workers.map((worker) => worker.terminate()))
    let over = false
    ended.then(() => {
      over = true
    })
    while (!over) {
      for (let i = 0; i < 100; i++) queue.send('x')
      await turn()
    }
  }
  assert.equal((await queue.info()).consumerCount, 0)
  assert.equal(await mq.call('answers', 2), 2)
})

test('a worker that is idle ends by itself', async (t) => {
  const url = `inproc://${unique('idle')}`
  await open(t, url)
  const worker = start(`await (await connect(workerData)).queue('q')`, url)
  const [status] = await once(worker, 'exit')
  assert.equal(status, 0)
})
