// Work that a registration makes: `node work.mjs mail`, `node work.mjs recommendation` or `node work.mjs notice`.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'warrenmq'

const kind = process.argv[2]
const work = {
  mail: ({ name }) => `wrote to ${name}@example.com`,
  recommendation: ({ name, likes }) => `recommended ${name} more about ${likes}`,
  notice: ({ name }) => `told the others that ${name} is here`,
}[kind]

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.exchange('registrations', 'fanout', { durable: true })
const queue = await mq.queue(kind, { durable: true })
await queue.bind('registrations')
const messages = queue.consume()
await messages.started
console.log('ready')
for await (const message of messages) {
  await sleep(1000) // it takes its time
  console.log(work(message.json()))
  message.ack()
}
