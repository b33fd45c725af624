import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const tasks = await mq.queue('fair')
await tasks.sendMany(['task 1', 'task 2', 'task 3', 'task 4', 'task 5', 'task 6'])
console.log('sent 6 tasks')
await mq.close()
