// How fast messages go through the embedded broker, from Node to Node: 128-byte bodies, each acknowledged.
// Prints one JSON line per measure. `node bench/inproc.mjs [messages]`
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { connect } from 'warrenmq'

const MESSAGES = Number(process.argv[2] ?? 1_000_000)
const PREFETCH = 2000
const ROUNDS = 3
const BODY = Buffer.alloc(128, 'x')

const report = (measure, value, unit) =>
  console.log(JSON.stringify({ measure, value: Math.round(value), unit }))
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

/** Publishes, awaiting each message. */
async function produce(queue, count) {
  for (let i = 0; i < count; i++) await queue.send(BODY)
}

async function produceBatches(queue, count) {
  const batch = Array(256).fill(BODY)
  for (let i = 0; i < count; i += batch.length) await queue.sendMany(batch)
}

/** Receives by iteration; reads each body. */
async function iterate(queue, count) {
  let bytes = 0
  for await (const message of queue.consume({ prefetch: PREFETCH })) {
    bytes += message.body.length
    message.ack()
    if (--count === 0) break
  }
  return bytes
}

/** Receives by a handler; reads each body. */
function handle(queue, count) {
  return new Promise((resolve) => {
    let bytes = 0
    const consumer = queue.consume({ prefetch: PREFETCH }, (message) => {
      bytes += message.body.length
      message.ack()
      if (--count === 0) resolve(consumer.cancel().then(() => bytes))
    })
  })
}

const SENDERS = { produce, produceBatches }
const RECEIVERS = { iterate, handle }

async function rate(run) {
  const rates = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    await run()
    rates.push((MESSAGES / (performance.now() - start)) * 1000)
  }
  return median(rates)
}

/** Does a worker thread's part, as often as it is told to. */
async function work() {
  const mq = await connect('inproc://bench')
  const queue = await mq.queue('bench')
  parentPort.on('message', async (name) => {
    if (name === 'stop') process.exit() // as it serves, it would live on
    await { ...SENDERS, ...RECEIVERS }[name](queue, MESSAGES)
    parentPort.postMessage('done')
  })
  if (workerData.serve) await mq.serve('echo', (value) => value)
  parentPort.postMessage('ready')
}

/** The plain measure is that of a program which iterates. */
const by = (receiver) => (receiver === 'iterate' ? '' : `, by ${receiver}r`)

function told(worker) {
  return once(worker, 'message') // rejects if the worker fails
}

async function main() {
  const mq = await connect('inproc://bench')
  const queue = await mq.queue('bench')
  const receivers = Object.entries(RECEIVERS)

  for (const [name, receive] of receivers) {
    report(
      `in process, Node same isolate${by(name)}`,
      await rate(() => Promise.all([produce(queue, MESSAGES), receive(queue, MESSAGES)])),
      '/s',
    )
  }
  report(
    'in process, Node same isolate, sendMany',
    await rate(() => Promise.all([produceBatches(queue, MESSAGES), handle(queue, MESSAGES)])),
    '/s',
  )

  const worker = new Worker(new URL(import.meta.url), {
    argv: [String(MESSAGES)],
    workerData: { serve: true },
  })
  await told(worker)
  const together = (part, mine) =>
    rate(() => {
      const theirs = told(worker)
      worker.postMessage(part)
      return Promise.all([theirs, mine(queue, MESSAGES)])
    })
  for (const [name] of receivers)
    report(`in process, Node main to worker${by(name)}`, await together(name, produce), '/s')
  report('in process, Node main to worker, sendMany', await together('handle', produceBatches), '/s')
  report('in process, Node worker to main', await together('produce', handle), '/s')

  const times = []
  for (let i = 0; i < 20_000; i++) {
    const start = performance.now()
    await mq.call('echo', BODY)
    if (i >= 2000) times.push((performance.now() - start) * 1000)
  }
  times.sort((a, b) => a - b)
  report('in process, Node main to worker and back, p50', times[times.length >> 1], 'µs')
  report('in process, Node main to worker and back, p99', times[Math.floor(times.length * 0.99)], 'µs')
  worker.postMessage('stop')
  await mq.close()
}

await (isMainThread ? main() : work())
