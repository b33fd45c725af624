// Thanks by mail: `node mail.mjs PORT`, by way of the mail server there.
import { setTimeout as sleep } from 'node:timers/promises'
import { createTransport } from 'nodemailer'
import { connect } from 'warrenmq'

const server = createTransport({ host: '127.0.0.1', port: Number(process.argv[2]) })

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.exchange('pictures', 'fanout', { durable: true })
const queue = await mq.queue('mails', { durable: true })
await queue.bind('pictures')
const messages = queue.consume({ prefetch: 1 })
await messages.started
console.log('ready')
for await (const message of messages) {
  const { name, user } = message.headers
  try {
    await server.sendMail({
      from: 'pictures@example.com',
      to: `${user}@example.com`,
      subject: name,
      text: 'Thank you!',
    })
    message.ack()
    console.log(`thanked ${user} for ${name}`)
  } catch (error) {
    if (!message.redelivered) console.log(`cannot thank ${user} for ${name}: ${error.code}`)
    await sleep(200) // before the next attempt
    message.nack()
  }
}
