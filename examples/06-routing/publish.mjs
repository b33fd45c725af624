import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const logs = await mq.exchange('direct_logs', 'direct')
for (const severity of ['info', 'warning', 'error']) {
  await logs.publish(`this is ${severity}`, severity)
  console.log('published', severity)
}
await mq.close()
