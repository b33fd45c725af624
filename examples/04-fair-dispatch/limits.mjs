import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
for (const global of [false, true]) {
  const channel = await mq.channel()
  await channel.prefetch(2, { global })
  const queue = await channel.queue()
  await queue.sendMany([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  const consumers = [queue.consume(), queue.consume()]
  for (const consumer of consumers) await consumer.started
  const delivered = 10 - (await queue.info()).messageCount
  console.log(`prefetch(2, { global: ${global} }): ${delivered} delivered to the two consumers`)
  for (const consumer of consumers) await consumer.cancel()
  await queue.delete()
}
await mq.close()
