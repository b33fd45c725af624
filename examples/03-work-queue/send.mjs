import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const tasks = await mq.queue('task_queue', { durable: true }) // what it sends is persistent, then
for (const task of process.argv.slice(2)) {
  await tasks.send(task)
  console.log('sent', task)
}
await mq.close()
