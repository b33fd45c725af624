import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const logs = await mq.exchange('direct_logs', 'direct')
const mine = await mq.queue('', { exclusive: true })
for (const severity of process.argv.slice(2)) await mine.bind(logs, severity)
const messages = mine.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log(`${message.routingKey}: ${message.text()}`)
