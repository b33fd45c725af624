import { connect } from 'warrenmq'

const reports = [
  { format: 'pdf', pages: 10 },
  { format: 'pdf', pages: '10' }, // a text is not a number
  { format: 'zip', 'x-draft': true },
  { format: 'pdf', pages: 10, 'x-draft': true },
]

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const exchange = await mq.exchange('reports', 'headers')
for (const [index, headers] of reports.entries()) {
  await exchange.publish(`report ${index + 1}`, '', { headers })
  console.log(`published report ${index + 1}`, JSON.stringify(headers))
}
await mq.close()
