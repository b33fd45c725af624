import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const hello = await mq.queue('hello')
await hello.send('Hello World!')
console.log('sent Hello World!')
await mq.close()
