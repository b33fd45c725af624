import { createHash } from 'node:crypto'
import { connect } from 'warrenmq'

const bodies = [
  'Grüße, 世界 🐇',
  { name: 'Zoë', tags: ['a', null, true], price: 12.5 },
  Buffer.from([0, 1, 2, 254, 255]),
  Buffer.alloc(0),
  Buffer.alloc(16 * 1024 * 1024, '0123456789abcdef'),
]

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const inbox = await mq.queue('for-python')
for (const body of bodies) {
  await inbox.send(body)
  console.log('sent', Buffer.isBuffer(body) ? digest(body) : JSON.stringify(body))
}
await mq.close()

function digest(bytes) {
  return `${bytes.length} bytes, sha256 ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`
}
