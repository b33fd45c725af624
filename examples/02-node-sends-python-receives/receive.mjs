import { createHash } from 'node:crypto'
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const inbox = await mq.queue('for-node')
const messages = inbox.consume()
await messages.started
console.log('ready')
for await (const message of messages) {
  const value = message.value() // a string, a Buffer, or what the JSON says
  console.log(value.constructor.name, Buffer.isBuffer(value) ? digest(value) : JSON.stringify(value))
  message.ack()
}

function digest(bytes) {
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`
}
