import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const tasks = (await mq.queue('tasks')).consume({ prefetch: 1 })
const done = await mq.queue('done')
await tasks.started
console.log('ready')
for await (const task of tasks) {
  await sleep(50)
  done.send(task.body)
  task.ack()
}
