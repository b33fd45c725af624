import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const events = await mq.exchange('events', 'topic')
const mine = await mq.queue('', { exclusive: true })
for (const pattern of process.argv.slice(2)) await mine.bind(events, pattern)
const messages = mine.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log(message.routingKey)
