import { connect } from 'warrenmq'

const [kind, text] = process.argv.slice(2)
const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const alerts = await mq.exchange('alerts', 'topic', { durable: true })
const { routed } = await alerts.publish(text, kind, { persistent: true })
console.log(kind, routed ? 'concerns somebody' : 'concerns nobody')
await mq.close()
