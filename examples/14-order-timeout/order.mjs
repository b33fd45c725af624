// Takes two orders, of which one is paid: `node order.mjs delay` or `node order.mjs dead-letter`.
import { connect } from 'warrenmq'
import { Shop } from './shop.mjs'

const PATIENCE = 1000 // milliseconds; half an hour, in other shops

const way = process.argv[2] ?? 'delay'
const shop = new Shop()
const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const timeouts = await mq.queue(`timeouts by ${way}`, { durable: true })

/** The broker keeps the message until it is time. Each may have a time of its own. */
function byDelay(body) {
  return timeouts.send(body, { delay: PATIENCE })
}

/** The message waits in a queue without consumers, and when its time there is over, the broker moves it on. */
async function byDeadLetter(body) {
  const unpaid = await mq.queue('unpaid', {
    durable: true,
    ttl: PATIENCE,
    deadLetterExchange: '',
    deadLetterRoutingKey: timeouts.name,
  })
  await unpaid.send(body)
}

const remind = { delay: byDelay, 'dead-letter': byDeadLetter }[way]
for (const paid of [true, false]) {
  const order = shop.place()
  await remind({ order, due: Date.now() + PATIENCE })
  if (paid) shop.pay(order)
  console.log(`order ${order}: ${paid ? 'paid' : 'open'}, ${shop.left()} left`)
}
await mq.close()
