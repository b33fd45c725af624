import { connect } from 'warrenmq'
import { Shop } from './shop.mjs'

const shop = new Shop()
const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.serve('orders', (order) => shop.buy(order), { prefetch: 1 }) // one at a time
console.log('ready')
