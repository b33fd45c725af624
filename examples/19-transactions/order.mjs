// Orders: together or not at all.
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const waiting = async () => (await mq.queue('orders', { durable: true })).messageCount

const channel = await mq.channel()
const orders = await channel.queue('orders', { durable: true })

await channel.txSelect()
await orders.sendMany([
  { item: 'lettuce', to: 'Ada' },
  { item: 'carrots', to: null },
])
console.log('before the commit:', await waiting(), 'orders')
await channel.txCommit()
console.log('after the commit:', await waiting(), 'orders')

await orders.send({ item: 'dandelions', to: 'Bob' })
await channel.txRollback()
console.log('after a rollback:', await waiting(), 'orders')
await mq.close()
