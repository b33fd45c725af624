import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const hello = await mq.queue('hello')
const messages = hello.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log('received', message.text())
