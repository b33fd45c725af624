// How fast messages go between Node and a Python in the same process: 128-byte bodies, each acknowledged, and 16 MiB.
// Prints one JSON line per measure. `node bench.mjs [messages]`
import { connect } from 'warrenmq'
import { python } from './python.mjs'

const MESSAGES = Number(process.argv[2] ?? 1_000_000)
const ROUNDS = 5
const BODY = Buffer.alloc(128, 'x')
const LONG = Buffer.alloc(16 << 20, 'x')
const TRIPS = 20_000

const report = (measure, value, unit) =>
  console.log(JSON.stringify({ measure: `in process, ${measure}`, value: Math.round(value * 10) / 10, unit }))
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1]

const mq = await connect('inproc://bench') // first, so that the broker is in Node's module
const there = await mq.queue('there')
const back = await mq.queue('back')
const { call } = python(import.meta.dirname, 'bench')

async function produce(body, count) {
  for (let i = 0; i < count; i++) await there.send(body)
}

async function produceBatches(body, count) {
  const batch = Array(256).fill(body)
  for (let i = 0; i < count; i += batch.length) await there.sendMany(batch)
}

/** Receives by a handler; reads each body. */
function receive(count) {
  return new Promise((resolve) => {
    let bytes = 0
    const consumer = back.consume({ prefetch: 1000 }, (message) => {
      bytes += message.body.length
      message.ack()
      if (--count === 0) resolve(consumer.cancel().then(() => bytes))
    })
  })
}

/** Messages per second, from the first sent to the last acknowledged. */
async function rate(count, run) {
  const rates = []
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now()
    await run()
    rates.push((count / (performance.now() - start)) * 1000)
  }
  return median(rates)
}

const COUNT = Math.ceil(MESSAGES / 256) * 256
const toPython = (send) => rate(COUNT, () => Promise.all([call('receive', COUNT), send(BODY, COUNT)]))
const toNode = (name) => rate(COUNT, () => Promise.all([receive(COUNT), call(name, 128, COUNT)]))
report('Node to Python', await toPython(produce), '/s')
report('Node to Python, sendMany of 256', await toPython(produceBatches), '/s')
report('Python to Node', await toNode('send_each'), '/s')
report('Python to Node, send_many of 256', await toNode('send_batches'), '/s')

const gigabytes = (LONG.length * 32) / 1e9
const long = await rate(gigabytes, () => Promise.all([call('receive', 32), produce(LONG, 32)]))
report('16 MiB bodies, Node to Python', long, 'GB/s')
const longBack = await rate(gigabytes, () => Promise.all([receive(32), call('send_each', LONG.length, 32)]))
report('16 MiB bodies, Python to Node', longBack, 'GB/s')

const echoing = call('echo')
const replies = back.consume({ noAck: true })
const times = []
for (let i = 0; i < TRIPS; i++) {
  const start = performance.now()
  await there.send(BODY)
  await replies.get()
  if (i >= TRIPS / 10) times.push((performance.now() - start) * 1000)
}
await there.send('')
await echoing
times.sort((a, b) => a - b)
report('Node to Python and back, p50', times[times.length >> 1], 'µs')
report('Node to Python and back, p99', times[Math.floor(times.length * 0.99)], 'µs')
process.exit()
