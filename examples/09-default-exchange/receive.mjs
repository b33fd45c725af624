import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const inbox = await mq.queue('inbox')
const messages = inbox.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log('received', message.text())
