// What the types let a program say, and what they do not. Only compiled, never run.
import { type BatchReceipt, Connection, connect, type Message, type Receipt, WarrenError } from 'warrenmq'

await using mq: Connection = await connect('inproc://types', { name: 'sample', timeout: 1000 })
mq.on('close', (error) => error?.code)
mq.on('return', (message) => message.body.length)

const queue = await mq.queue('tasks', {
  durable: true,
  arguments: { 'x-max-length': 10, 'x-when': new Date() },
})
const receipt: Receipt = await queue.send({ n: 1, nested: [null, 'text', true, undefined] }, { priority: 3 })
const batch: BatchReceipt = await queue.sendMany(['text', Buffer.from('bytes'), { json: 1 }])
console.log(receipt.routed, batch.unrouted[0])

const limited = await mq.queue('limited', { ttl: 60_000, overflow: 'reject-publish', type: 'quorum' })
await limited.send('later', { delay: 60_000 })

for await (const message of queue.consume({ prefetch: 10, priority: 1, offset: new Date() })) {
  const again: [number, Date | undefined] = [message.deliveryCount, message.deaths[0]?.time]
  console.log(again)
  const body: Buffer = message.body
  const type: string | undefined = message.properties.contentType
  message.ack({ multiple: true })
  console.log(body, type)
  break
}
await using consumer = queue.consume(async (message: Message) => message.nack({ requeue: false }))
const one: Message | null = await queue.get({ noAck: true })
const raw: Message = await mq.call('echo', 1, { raw: true })
console.log(consumer.tag, one, raw)

try {
  await mq.exchange('logs', 'topic', { passive: true })
} catch (error) {
  if (error instanceof WarrenError && error.code === 'NOT_FOUND') console.log(error.replyCode + 1)
}

// @ts-expect-error there is no such option
await mq.queue('tasks', { persistent: true })
// @ts-expect-error there is no such way of overflowing
await mq.queue('tasks', { overflow: 'drop-tail' })
// @ts-expect-error a promise resolves to the queue
mq.queue('tasks').send('x')
// @ts-expect-error there is no such code
export const wrong = (error: WarrenError) => error.code === 'NO_SUCH_CODE'
// @ts-expect-error connections come from connect
new Connection()
