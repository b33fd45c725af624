// Makes pictures smaller: `node resize.mjs WIDTH`.
import { mkdir } from 'node:fs/promises'
import sharp from 'sharp'
import { connect } from 'warrenmq'

const width = Number(process.argv[2])
await mkdir('resized', { recursive: true })

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.exchange('pictures', 'fanout', { durable: true })
const queue = await mq.queue(`pictures of ${width}`, { durable: true })
await queue.bind('pictures')
const messages = queue.consume({ prefetch: 1 })
await messages.started
console.log('ready')
for await (const message of messages) {
  const { name } = message.headers
  const small = await sharp(message.body).resize(width).toFile(`resized/${width}-${name}`)
  message.ack()
  console.log(`${name}: ${small.width} x ${small.height}`)
}
