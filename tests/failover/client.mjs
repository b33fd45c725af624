// A member in Node: does what it is told in JSON, and notes it. client.py is the same in Python, and says more.
//
//     node client.mjs PLAN
import { openSync, writeSync } from 'node:fs'
import { setTimeout as rest } from 'node:timers/promises'
import { connect } from 'warrenmq'

const PAUSE = 20 // milliseconds that a publisher rests at most between two windows
const SHARE = 0.1 // of the messages goes back to the queue, where the consumer is one that returns
const PATIENCE = 1000 // milliseconds after which a message to oneself is given up

const plan = JSON.parse(process.argv[2])
const file = openSync(plan.notes, 'a', 0o600)
const now = () => Number(process.hrtime.bigint()) / 1e9 // the clock of Python's time.monotonic()
const note = (role, what, ...details) =>
  writeSync(file, `${JSON.stringify([now(), role, what, ...details])}\n`)
const upTo = (most) => Math.floor(Math.random() * (most + 1))

const letter = (publisher, number) =>
  `${publisher} ${number} ${'x'.repeat(number % 100 === 99 ? 20_000 : number % 97)}`

function sender(text) {
  const [publisher, number] = text.slice(0, 80).split(' ')
  const known = /^\d+$/.test(number) && letter(publisher, Number(number)) === text
  return known ? [publisher, Number(number)] : [text.slice(0, 40), -1]
}

let stop = false
let closing = false
const mq = await connect(plan.url, { name: plan.name, timeout: plan.timeout * 1000 })

const roles = {
  async publish({ name, exchange, routes, window, way, ranks, persistent }) {
    const out = await mq.exchange(exchange, undefined, { passive: true })
    const keys = Object.keys(routes)
    let number = 0
    while (!stop) {
      const key = keys[upTo(keys.length - 1)]
      const count = way === 'one' ? 1 : 1 + upTo(window - 1)
      const options = { persistent, ...(ranks ? { priority: upTo(ranks) } : {}) }
      const first = number + 1
      number += count
      const bodies = Array.from({ length: count }, (_, index) => letter(name, first + index))
      note(name, 'publish', first, number, routes[key], persistent)
      let lost
      if (way === 'many') {
        lost = (await out.publishMany(bodies, key, options)).unrouted
      } else {
        const receipts = await Promise.all(bodies.map((body) => out.publish(body, key, options)))
        lost = [...receipts.keys()].filter((index) => !receipts[index].routed)
      }
      note(name, 'confirmed', first, number, lost)
      await rest(upTo(PAUSE))
    }
  },

  async consume({ name, queue, way, prefetch }) {
    const consumer = (await mq.queue(queue, { passive: true })).consume({ prefetch })
    await consumer.started
    note(name, 'consume', queue, prefetch)
    let held = 0
    while (!stop) {
      const message = await consumer.get({ timeout: 200 })
      if (!message) continue
      const back = way === 'returns' && !message.redelivered && Math.random() < SHARE
      note(name, 'take', queue, ...sender(message.text()), message.redelivered, back)
      held++
      if (back) message.nack()
      else if (way !== 'late' || held % (prefetch >> 1) === 0) message.ack({ multiple: way === 'late' })
    }
    await consumer.cancel()
  },

  async serve({ queue }) {
    const server = await mq.serve(queue, (value) => value * 2, { prefetch: 5 })
    while (!stop) await rest(50)
    await server.close()
  },

  async call({ name, queue, timeout }) {
    for (let number = 1; !stop; number++) {
      note(name, 'call', number, timeout)
      try {
        const answer = await mq.call(queue, number, { timeout: timeout * 1000 })
        note(name, 'answer', number, answer === number * 2 ? '' : `the wrong answer: ${answer}`)
      } catch (error) {
        note(name, 'answer', number, error.code, error.message)
      }
      await rest(upTo(PAUSE))
    }
  },

  async own({ name, exchange }) {
    const queue = await mq.queue(`own.${name}`, { exclusive: true })
    await queue.bind(exchange, `own.${name}`)
    const consumer = queue.consume()
    const out = await mq.exchange(exchange, undefined, { passive: true })
    for (let number = 1; !stop; number++) {
      await out.publish(letter(name, number), `own.${name}`, { persistent: true })
      const message = await consumer.get({ timeout: PATIENCE })
      if (message) {
        note(name, 'echo', ...sender(message.text()))
        message.ack()
      }
      await rest(upTo(PAUSE))
    }
  },
}

async function play({ do: what, ...role }) {
  try {
    await roles[what]({ ...role, name: `${role.name}.${plan.life}` })
  } catch (error) {
    if (!closing) note(role.name, 'failed', error.code ?? error.name, error.message)
  }
}

async function close() {
  if (!closing) note('', 'closing')
  closing = true
  await mq.close()
}

async function end(atOnce) {
  if (stop) return
  stop = true
  if (atOnce) await close()
  await Promise.all(playing)
  await close()
  note('', 'ended')
  process.stdin.destroy()
}

mq.on('reconnected', () => note('', 'reconnected'))
mq.on('close', (error) => closing || note('', 'failed', 'close', String(error)))
mq.on('error', (error) => closing || note('', 'failed', 'error', String(error)))
note('', 'open')
for (const [name, { max_priority: maxPriority }] of Object.entries(plan.topology.queues)) {
  await mq.queue(name, { durable: true, maxPriority })
}
for (const [name, kind] of Object.entries(plan.topology.exchanges)) {
  await mq.exchange(name, kind, { durable: true })
}
for (const [queue, exchange, key] of plan.topology.bindings) {
  await (await mq.queue(queue, { passive: true })).bind(exchange, key)
}
const playing = plan.roles.map(play)
process.on('SIGTERM', () => end(true))
process.stdin.on('end', () => end(false)).resume()
note('', 'ready')
