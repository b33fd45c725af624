// The scenarios with amqplib's callback API, written as its tutorials are.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import amqp from 'amqplib/callback_api'
import { fib, URL, unique } from './words.mjs'

/** Runs a test that gets a connection and must call `done`; the connection is closed after it. */
function scenario(name, play) {
  test(name, (_, finished) => {
    amqp.connect(URL, (error, connection) => {
      if (error) return finished(error)
      // Not at once: amqplib cannot close a connection from within the callback of a failed call.
      play(connection, (error) => setImmediate(() => connection.close(() => finished(error))))
    })
  })
}

scenario('hello world', (connection, done) => {
  connection.createChannel((error, channel) => {
    assert.ifError(error)
    const queue = unique('hello')
    channel.assertQueue(queue, { durable: false, autoDelete: true })
    channel.consume(
      queue,
      (message) => {
        assert.equal(message.content.toString(), 'Hello World!')
        done()
      },
      { noAck: true },
    )
    channel.sendToQueue(queue, Buffer.from('Hello World!'))
  })
})

scenario('work queue: prefetch 1, acks, every task once and in order', (connection, done) => {
  connection.createChannel((_, channel) => {
    const seen = []
    channel.prefetch(1)
    channel.assertQueue('', { exclusive: true }, (_, { queue }) => {
      channel.consume(queue, (task) => {
        seen.push(task.content.toString())
        setImmediate(() => {
          channel.ack(task)
          if (seen.length < 5) return
          assert.deepEqual(seen, ['First.', 'Second..', 'Third...', 'Fourth....', 'Fifth.....'])
          done()
        })
      })
      for (const task of ['First.', 'Second..', 'Third...', 'Fourth....', 'Fifth.....']) {
        channel.sendToQueue(queue, Buffer.from(task), { persistent: true })
      }
    })
  })
})

scenario('publish/subscribe', (connection, done) => {
  const logs = unique('logs')
  const counts = [0, 0]
  connection.createChannel((_, channel) => {
    channel.assertExchange(logs, 'fanout', { durable: false, autoDelete: true })
    const subscribe = (number, then) => {
      channel.assertQueue('', { exclusive: true }, (_, { queue }) => {
        channel.bindQueue(queue, logs, '')
        const count = () => {
          counts[number]++
          if (counts[0] === 3 && counts[1] === 3) done()
        }
        channel.consume(queue, count, { noAck: true }, then)
      })
    }
    subscribe(0, () =>
      subscribe(1, () => {
        for (const body of ['1', '2', '3']) channel.publish(logs, '', Buffer.from(body))
      }),
    )
  })
})

scenario('routing and topics', (connection, done) => {
  const exchange = unique('topic_logs')
  connection.createChannel((_, channel) => {
    const seen = []
    channel.assertExchange(exchange, 'topic', { durable: false, autoDelete: true })
    channel.assertQueue('', { exclusive: true }, (_, { queue }) => {
      for (const pattern of ['#', 'mysql.*', '*.redis', 'mysql.error.*', '*.info'])
        channel.bindQueue(queue, exchange, pattern)
      channel.consume(
        queue,
        (message) => {
          seen.push(message.fields.routingKey)
          if (message.fields.routingKey !== 'end') return
          assert.deepEqual(seen, ['mysql.info', 'mysql.error.disk', 'a.redis', 'end'])
          done()
        },
        { noAck: true },
        () => {
          for (const key of ['mysql.info', 'mysql.error.disk', 'a.redis', 'end'])
            channel.publish(exchange, key, Buffer.alloc(0))
        },
      )
    })
  })
})

scenario(
  'a confirm channel calls back for every message, after the return of an unroutable one',
  (connection, done) => {
    connection.createConfirmChannel((_, channel) => {
      const seen = []
      channel.on('return', (message) => seen.push(`returned ${message.content}`))
      channel.sendToQueue(unique('missing'), Buffer.from('one'), { mandatory: true }, (error) =>
        seen.push(`confirmed one ${error}`),
      )
      channel.sendToQueue(unique('missing'), Buffer.from('two'), {}, (error) => seen.push(`confirmed two ${error}`))
      channel.waitForConfirms((error) => {
        assert.ifError(error)
        assert.deepEqual(seen, ['returned one', 'confirmed one null', 'confirmed two null'])
        done()
      })
    })
  },
)

scenario('get gives a message or false', (connection, done) => {
  connection.createConfirmChannel((_, channel) => {
    channel.assertQueue('', { exclusive: true }, (_, { queue }) => {
      channel.get(queue, { noAck: true }, (_, nothing) => {
        assert.equal(nothing, false)
        channel.sendToQueue(queue, Buffer.from('x'), {}, () => {
          channel.get(queue, { noAck: true }, (_, message) => {
            assert.equal(message.content.toString(), 'x')
            done()
          })
        })
      })
    })
  })
})

scenario('an error comes to the callback, with its code', (connection, done) => {
  connection.createChannel((_, channel) => {
    channel.on('error', () => {})
    const queue = unique('missing')
    channel.checkQueue(queue, (error) => {
      assert.equal(error.code, 404)
      assert.ok(error.message.includes(`NOT_FOUND - no queue '${queue}' in vhost '/'`))
      done()
    })
  })
})

scenario('RPC over an exclusive reply queue', (connection, done) => {
  connection.createChannel((_, channel) => {
    channel.assertQueue('', { exclusive: true }, (_, { queue: requests }) => {
      channel.consume(requests, (request) => {
        const { replyTo, correlationId } = request.properties
        channel.sendToQueue(replyTo, Buffer.from(fib(Number(request.content)).toString()), { correlationId })
        channel.ack(request)
      })
      channel.assertQueue('', { exclusive: true }, (_, { queue: replyTo }) => {
        channel.consume(
          replyTo,
          (reply) => {
            assert.equal(reply.properties.correlationId, 'c-1')
            assert.equal(reply.content.toString(), '832040')
            done()
          },
          { noAck: true },
        )
        channel.sendToQueue(requests, Buffer.from('30'), { correlationId: 'c-1', replyTo })
      })
    })
  })
})
