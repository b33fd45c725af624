import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const standard = await mq.exchange('')
console.log('to inbox:', await standard.publish('hello from Node', 'inbox'))
console.log('to nowhere:', await standard.publish('is dropped', 'nowhere'))
try {
  await standard.publish('comes back', 'nowhere', { mandatory: true })
} catch (error) {
  console.log('to nowhere, mandatory:', error.code)
}
await mq.close()
