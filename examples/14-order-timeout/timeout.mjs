// Gives up what was not paid in time: `node timeout.mjs delay` or `node timeout.mjs dead-letter`.
import { connect } from 'warrenmq'
import { Shop } from './shop.mjs'

const shop = new Shop()
const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const messages = (await mq.queue(`timeouts by ${process.argv[2]}`, { durable: true })).consume()
await messages.started
console.log('ready')
for await (const message of messages) {
  const { order, due } = message.json()
  const early = Date.now() < due ? ' (too early!)' : ''
  const how = message.deaths.length > 0 ? `, ${message.deaths[0].reason} in ${message.deaths[0].queue}` : ''
  const done = shop.giveUp(order) ? `given up, ${shop.left()} left` : 'nothing to do'
  message.ack()
  console.log(`time-out of order ${order}${how}: ${done}${early}`)
}
