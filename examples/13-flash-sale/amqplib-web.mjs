// What web.mjs does with a queue, as it is written for RabbitMQ with its stock client.
import amqp from 'amqplib'
import { fastify } from 'fastify'

const [port = '3000'] = process.argv.slice(2)
const connection = await amqp.connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const channel = await connection.createChannel()
await channel.assertQueue('orders', { durable: false })
const { queue: replies } = await channel.assertQueue('', { exclusive: true })

const waiting = new Map()
await channel.consume(
  replies,
  (reply) => {
    const { correlationId } = reply.properties
    waiting.get(correlationId)(JSON.parse(reply.content))
    waiting.delete(correlationId)
  },
  { noAck: true },
)

let last = 0
function call(order) {
  const correlationId = String(++last)
  channel.sendToQueue('orders', Buffer.from(JSON.stringify(order)), { correlationId, replyTo: replies })
  return new Promise((resolve) => waiting.set(correlationId, resolve))
}

const app = fastify()
app.post('/orders', async (request, reply) => {
  const sold = await call(request.body)
  return reply.code(sold ? 201 : 409).send({ sold })
})
await app.listen({ port: Number(port) })
console.log('ready')
