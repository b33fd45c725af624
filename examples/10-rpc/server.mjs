import { connect } from 'warrenmq'

function fib(n) {
  if (n < 0) throw new RangeError(`there is no fib(${n})`)
  let [a, b] = [0, 1]
  for (let i = 0; i < n; i++) [a, b] = [b, a + b]
  console.log(`fib(${n})`)
  return a
}

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
await mq.serve('rpc_queue', fib, { prefetch: 10 })
console.log('ready')
