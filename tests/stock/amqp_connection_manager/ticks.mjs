// Sends itself a number ten times a second, over one managed connection, and prints what arrives.
import { connect } from 'amqp-connection-manager'

const [url, queue] = process.argv.slice(2)
const connection = connect(url, { reconnectTimeInSeconds: 0.2 })
connection.on('disconnect', ({ err }) => console.log('disconnected', err.message))
const channel = connection.createChannel({ setup: (channel) => channel.assertQueue(queue, { exclusive: true }) })
channel.on('connect', () => console.log('connected'))
channel.on('error', (error) => console.log('error', error.message))
await channel.waitForConnect()
await channel.consume(queue, ({ content }) => console.log('got', content.toString()), { noAck: true })
let number = 0
setInterval(() => {
  channel.sendToQueue(queue, String(number++)).catch((error) => console.log('not sent', error.message))
}, 100)
