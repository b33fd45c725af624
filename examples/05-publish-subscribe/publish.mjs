import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const logs = await mq.exchange('logs', 'fanout')
for (const line of ['first', 'second', 'third']) {
  const { routed } = await logs.publish(line)
  console.log('published', line, routed ? '' : '(nobody listens)')
}
await mq.close()
