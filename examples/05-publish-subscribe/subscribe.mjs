import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const logs = await mq.exchange('logs', 'fanout')
const mine = await mq.queue('', { exclusive: true }) // the broker names it; it goes with this connection
await mine.bind(logs)
const messages = mine.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log('received', message.text())
