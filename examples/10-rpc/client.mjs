import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')

const numbers = [30, 35, 40]
const answers = await Promise.all(numbers.map((n) => mq.call('rpc_queue', n))) // all at once
for (const [i, n] of numbers.entries()) console.log(`fib(${n}) = ${answers[i]}`)

await mq.call('rpc_queue', -1).catch((error) => console.log('the server says:', error.reason))

await mq.queue('nobody_serves', { exclusive: true })
await mq.call('nobody_serves', 30, { timeout: 200 }).catch((error) => console.log('in vain:', error.code))

await mq.close()
