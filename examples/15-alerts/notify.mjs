// Mails alerts: `node notify.mjs PORT QUEUE PATTERN RECIPIENT…`
import { createTransport } from 'nodemailer'
import { connect } from 'warrenmq'

const [port, name, pattern, ...recipients] = process.argv.slice(2)
const mail = createTransport({ host: '127.0.0.1', port: Number(port) })

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.exchange('alerts', 'topic', { durable: true })
const alerts = await mq.queue(name, { durable: true })
await alerts.bind('alerts', pattern)
const messages = alerts.consume()
await messages.started
console.log('ready')
for await (const message of messages) {
  await mail.sendMail({
    from: 'alerts@example.com',
    to: recipients,
    subject: message.routingKey,
    text: message.text(),
  })
  message.ack() // the mail server has it
  console.log('mailed', message.routingKey)
}
