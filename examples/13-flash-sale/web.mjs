// The shop on the web: `node web.mjs PORT HOW`. Each order is a POST /orders, answered with 201 or 409.
import { fastify } from 'fastify'
import { connect } from 'warrenmq'
import { Shop } from './shop.mjs'

const [port = '3000', how = 'queue'] = process.argv.slice(2)

/** Orders are handled as they come, many at once. */
async function straight() {
  const shop = new Shop()
  return (order) => shop.buy(order)
}

/** Orders wait for each other, in this process: what the shop can do at most without selling too much. */
async function inTurn() {
  const shop = new Shop()
  let last = Promise.resolve()
  return (order) => {
    last = last.then(() => shop.buy(order))
    return last
  }
}

/** Orders go to a queue, and whoever works on it answers. */
async function queue() {
  const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
  return (order) => mq.call('orders', order)
}

const handle = await { straight, 'in-turn': inTurn, queue }[how]()
const app = fastify()
app.post('/orders', async (request, reply) => {
  const sold = await handle(request.body)
  return reply.code(sold ? 201 : 409).send({ sold })
})
await app.listen({ port: Number(port) })
console.log('ready')
