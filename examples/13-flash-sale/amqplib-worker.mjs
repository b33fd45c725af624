import amqp from 'amqplib'
import { Shop } from './shop.mjs'

const shop = new Shop()
const connection = await amqp.connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const channel = await connection.createChannel()
await channel.assertQueue('orders', { durable: false })
await channel.prefetch(1)
await channel.consume('orders', async (message) => {
  const sold = await shop.buy(JSON.parse(message.content))
  const { replyTo, correlationId } = message.properties
  channel.sendToQueue(replyTo, Buffer.from(JSON.stringify(sold)), { correlationId })
  channel.ack(message)
})
console.log('ready')
