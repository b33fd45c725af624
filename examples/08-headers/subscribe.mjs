import { connect } from 'warrenmq'

const wanted = { 'x-match': process.argv[2], format: 'pdf', pages: 10, 'x-draft': true }

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const reports = await mq.exchange('reports', 'headers')
const mine = await mq.queue('', { exclusive: true })
await mine.bind(reports, '', wanted)
const messages = mine.consume({ noAck: true })
await messages.started
console.log('ready')
for await (const message of messages) console.log(message.text(), JSON.stringify(message.headers))
