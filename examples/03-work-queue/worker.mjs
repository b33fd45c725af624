import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const tasks = await mq.queue('task_queue', { durable: true })
const messages = tasks.consume()
await messages.started
console.log('ready')
for await (const message of messages) {
  const task = message.text()
  console.log('started', task, message.redelivered ? '(redelivered)' : '')
  await sleep(task.split('.').length * 1000 - 1000) // a second for each dot
  console.log('done', task)
  message.ack()
}
