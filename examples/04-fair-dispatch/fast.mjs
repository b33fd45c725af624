import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const tasks = await mq.queue('fair')
const messages = tasks.consume({ prefetch: 1 })
await messages.started
console.log('ready')
for await (const message of messages) {
  await sleep(100)
  console.log('done', message.text())
  message.ack()
}
