// Books what was ordered: an order becomes an invoice and a parcel, and is done; or nothing of that.
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const channel = await mq.channel()
const [orders, invoices, parcels] = await Promise.all(
  ['orders', 'invoices', 'parcels'].map((name) => channel.queue(name, { durable: true })),
)

function addressOf({ item, to }) {
  if (to === null) throw new Error(`nobody is to get the ${item}`)
  return `${item} for ${to}`
}

for (let order = await orders.get(); order !== null; order = await orders.get()) {
  const { item, to } = order.json()
  try {
    await channel.transaction(async () => {
      order.ack()
      await invoices.send(`${item}: 3.50`)
      await parcels.send(addressOf({ item, to }))
    })
    console.log('booked', item)
  } catch (error) {
    console.log(`not booked: ${error.message}`)
    await channel.transaction(() => order.reject({ requeue: false })) // it is unacknowledged again
  }
}

for (const queue of [orders, invoices, parcels]) {
  const { messageCount } = await queue.info()
  console.log(`${queue.name}: ${messageCount}`)
}
await mq.close()
