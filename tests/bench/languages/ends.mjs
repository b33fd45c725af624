// The Node ends of the benchmark of languages: one process, one library, one part. See ends.py, which does the same.
import { once } from 'node:events'
import { createInterface } from 'node:readline'

const RECORD = {
  id: 123456,
  name: 'a name of some length',
  email: 'somebody@example.org',
  active: true,
  balance: 1234.5,
  tags: ['one', 'two', 'three'],
  address: { street: 'Main Street 1', city: 'Springfield' },
  created: '2026-01-01T00:00:00Z',
  score: 42,
  note: null,
}
const PREFETCH = 1000
/** Compilers and caches need their time: nanoseconds. */
const WARM = 1_000_000_000n
/** Windows that are under way at a time. */
const AHEAD = 4

const part = JSON.parse(process.argv[2])
const body = part.content === 'json' ? RECORD : Buffer.alloc(part.size)
const lines = createInterface({ input: process.stdin })
const clock = () => process.hrtime.bigint()
const tell = (result) => console.log(JSON.stringify(result, (_, value) => (typeof value === 'bigint' ? Number(value) : value)))

async function go() {
  console.log('ready')
  await once(lines, 'line')
  return clock()
}

async function roundTrips(trip) {
  let now = await go()
  const warm = now + WARM
  const end = warm + BigInt(part.seconds * 1e9)
  const trips = []
  while (now < end) {
    const begin = now
    await trip()
    now = clock()
    if (begin > warm) trips.push(Number(now - begin))
  }
  trips.sort((a, b) => a - b)
  tell({ p50: trips[trips.length >> 1] / 1000, p99: trips[Math.floor(trips.length * 0.99)] / 1000 })
}

async function warrenmq() {
  const { connect } = await import(part.module)
  const mq = await connect(part.url)
  if (part.role === 'call') {
    await roundTrips(() => mq.call(part.queue, body))
    return mq.close()
  }
  if (part.role === 'serve') {
    await mq.serve(part.queue, (value) => value)
    await go()
    await once(lines, 'line')
    return mq.close()
  }
  const queue = await mq.queue(part.queue, { durable: part.durable })
  if (part.role === 'send') {
    const begin = await go()
    if (part.window === 1) {
      for (let i = 0; i < part.count; i++) await queue.send(body)
    } else {
      const batch = Array(part.window).fill(body)
      const under = []
      for (let i = 0; i < part.count; i += part.window) {
        if (under.length === AHEAD) await under.shift()
        under.push(queue.sendMany(batch))
      }
      await Promise.all(under)
    }
    tell({ begin, end: clock() })
  } else {
    let left = part.count
    const isJson = part.content === 'json'
    let finish
    const done = new Promise((resolve) => {
      finish = resolve
    })
    const consumer = queue.consume({ prefetch: PREFETCH }, (message) => {
      if (isJson) message.json()
      else message.body
      message.ack()
      if (--left === 0) finish()
    })
    await consumer.started
    await go()
    await done
    tell({ end: clock() })
    await consumer.cancel()
  }
  await mq.close()
}

async function rabbitmq() {
  const { default: amqplib } = await import(part.module)
  const connection = await amqplib.connect(part.url)
  if (part.role === 'call') {
    const channel = await connection.createChannel()
    let answered
    await channel.consume('amq.rabbitmq.reply-to', () => answered(), { noAck: true })
    await roundTrips(
      () =>
        new Promise((resolve) => {
          answered = resolve
          channel.sendToQueue(part.queue, body, { replyTo: 'amq.rabbitmq.reply-to' })
        }),
    )
    return connection.close()
  }
  const channel = part.durable ? await connection.createConfirmChannel() : await connection.createChannel()
  await channel.assertQueue(part.queue, { durable: part.durable })
  if (part.role === 'send') {
    const begin = await go()
    for (let i = 1; i <= part.count; i++) {
      const room = channel.sendToQueue(part.queue, body, { persistent: part.durable })
      if (part.durable && i % part.window === 0) await channel.waitForConfirms()
      else if (!room) await once(channel, 'drain')
    }
    if (part.durable) await channel.waitForConfirms()
    await channel.close() // closing the connection alone drops what is buffered
    tell({ begin, end: clock() })
  } else {
    let left = part.count
    await channel.prefetch(PREFETCH)
    let finish
    const done = new Promise((resolve) => {
      finish = resolve
    })
    await channel.consume(part.queue, (message) => {
      channel.ack(message)
      if (--left === 0) finish()
    })
    await go()
    await done
    tell({ end: clock() })
  }
  await connection.close()
}

async function zeromq() {
  const { default: zmq } = await import(part.module)
  const socket = new { send: zmq.Push, receive: zmq.Pull, serve: zmq.Reply, call: zmq.Request }[part.role]()
  if (part.role === 'receive' || part.role === 'serve') await socket.bind(part.url)
  else socket.connect(part.url)
  if (part.role === 'call') {
    await roundTrips(async () => {
      await socket.send(body)
      await socket.receive()
    })
  } else if (part.role === 'serve') {
    console.log('ready')
    for await (const [request] of socket) await socket.send(request)
  } else {
    const begin = await go()
    if (part.role === 'send') {
      for (let i = 0; i < part.count; i++) await socket.send(body)
      tell({ begin, end: clock() })
    } else {
      for (let i = 0; i < part.count; i++) await socket.receive()
      tell({ end: clock() })
    }
  }
  socket.close()
}

async function nats() {
  const { default: library } = await import(part.module)
  const connection = await library.connect({ servers: part.url })
  if (part.role === 'call') {
    await roundTrips(() => connection.request(part.queue, body))
  } else if (part.role === 'send') {
    const begin = await go()
    for (let i = 1; i <= part.count; i++) {
      connection.publish(part.queue, body)
      if (i % 1000 === 0) await connection.flush()
    }
    await connection.flush()
    tell({ begin, end: clock() })
  } else {
    let left = part.count
    const messages = connection.subscribe(part.queue)
    await connection.flush()
    if (part.role === 'serve') console.log('ready')
    else await go()
    for await (const message of messages) {
      if (part.role === 'serve') message.respond(message.data)
      else if (--left === 0) break
    }
    tell({ end: clock() })
  }
  await connection.close()
}

await { warrenmq, rabbitmq, zeromq, nats }[part.library]()
if (part.library === 'zeromq') lines.close() // it ends when all that it has is sent
else process.exit()
