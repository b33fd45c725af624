// The web's end of it: `node web.mjs PORT`. POST /users is answered when the work is in the queues, not when it is done.
import { fastify } from 'fastify'
import { connect } from 'warrenmq'

const mq = await connect(process.env.WARRENMQ_URL ?? 'amqp://127.0.0.1')
const registrations = await mq.exchange('registrations', 'fanout', { durable: true })

const app = fastify()
app.post('/users', async (request, reply) => {
  await registrations.publish(request.body, '', { persistent: true }) // the broker answers for it now
  return reply.code(202).send({ welcome: request.body.name })
})
await app.listen({ port: Number(process.argv[2] ?? 3000) })
console.log('ready')
