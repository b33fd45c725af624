// The verbs of the scenarios in terms of amqplib's promise API.
import { connect } from 'amqplib'
import { bodyOf, camelKeys, FUNCTIONS, Inbox, propertiesOf, REPLY_CODES, seen, TIMEOUT, within } from './common.mjs'

const REPLY_TO = 'amq.rabbitmq.reply-to'

export function errorOf(error) {
  if (error.code === 'TIMEOUT') return { code: 'TIMEOUT', text: error.message }
  if (!Number.isInteger(error.code)) return null
  return { code: REPLY_CODES[error.code] ?? error.code, text: error.message.match(/with message "(.*)"$/s)?.[1] }
}

/** One role: a connection with its channels, consumers, held messages and calls, each under its name. */
export class Session {
  #channels = new Map()
  #consumers = new Map()
  #messages = new Map()
  #replies = new Map()

  static async open({ url }) {
    const session = new Session()
    session.connection = await connect(url)
    return session
  }

  /** Channels first: amqplib may send a connection's close before a channel's last acks. */
  async close() {
    for (const channel of this.#channels.values()) await channel.close()
    await this.connection.close()
  }

  async queue({ name, channel, passive, ...options }) {
    const on = await this.#channel(channel)
    const ok = passive
      ? await on.checkQueue(name)
      : await on.assertQueue(name, { durable: false, ...camelKeys(options) })
    return { name: ok.queue, messages: ok.messageCount, consumers: ok.consumerCount }
  }

  async exchange({ name, type = 'direct', channel, passive, ...options }) {
    const on = await this.#channel(channel)
    if (passive) await on.checkExchange(name)
    else await on.assertExchange(name, type, { durable: false, ...camelKeys(options) })
  }

  async bind({ queue, destination, exchange, routing_key = '', arguments: args, channel }) {
    const on = await this.#channel(channel)
    if (queue === undefined) await on.bindExchange(destination, exchange, routing_key, args)
    else await on.bindQueue(queue, exchange, routing_key, args)
  }

  async unbind({ queue, destination, exchange, routing_key = '', arguments: args, channel }) {
    const on = await this.#channel(channel)
    if (queue === undefined) await on.unbindExchange(destination, exchange, routing_key, args)
    else await on.unbindQueue(queue, exchange, routing_key, args)
  }

  send({ queue, ...message }) {
    return this.publish({ exchange: '', routing_key: queue, ...message })
  }

  async publish({ exchange, routing_key = '', body, mandatory, headers, properties, channel }) {
    const on = await this.#channel(channel)
    const options = { ...camelKeys(properties), headers, mandatory }
    let content = bodyOf(body)
    if (typeof content === 'string') content = Buffer.from(content)
    if (!Buffer.isBuffer(content)) {
      content = Buffer.from(JSON.stringify(content))
      options.contentType = 'application/json'
    }
    let returned = false // a return comes before the confirm of its message
    const notice = () => (returned = true)
    on.on('return', notice)
    try {
      await new Promise((resolve, reject) =>
        on.publish(exchange, routing_key, content, options, (error) =>
          error ? reject(on.failure ?? error) : resolve(),
        ),
      )
    } finally {
      on.off('return', notice)
    }
    return mandatory ? { routed: !returned } : {}
  }

  async prefetch({ count, global = false, channel }) {
    await (await this.#channel(channel)).prefetch(count, global)
  }

  async consume({ queue, consumer, prefetch, no_ack = false, exclusive = false, channel }) {
    const on = await this.#channel(channel)
    if (prefetch !== undefined) await on.prefetch(prefetch)
    const inbox = new Inbox()
    const { consumerTag } = await on.consume(queue, (message) => inbox.push(message), { noAck: no_ack, exclusive })
    this.#consumers.set(consumer, { on, queue, consumerTag, inbox })
  }

  async cancel({ consumer }) {
    const { on, consumerTag } = this.#consumers.get(consumer)
    await on.cancel(consumerTag)
    this.#consumers.delete(consumer)
  }

  async take({ consumer, message, settle }) {
    const { on, inbox } = this.#consumers.get(consumer)
    return this.#received(on, await inbox.take(TIMEOUT, `no message for consumer ${consumer}`), message, settle)
  }

  /** The answer to the check comes after every delivery that the queue has made before. */
  async nothing({ consumer }) {
    const { on, queue, inbox } = this.#consumers.get(consumer)
    await on.checkQueue(queue)
    if (inbox.length) throw new Error(`unexpected message for consumer ${consumer}`)
  }

  async get({ queue, no_ack = false, message, settle, channel }) {
    const on = await this.#channel(channel)
    const got = await on.get(queue, { noAck: no_ack })
    return got ? this.#received(on, got, message, settle) : null
  }

  ack({ message, multiple = false }) {
    const { on, received } = this.#messages.get(message)
    on.ack(received, multiple)
  }

  nack({ message, multiple = false, requeue = true }) {
    const { on, received } = this.#messages.get(message)
    on.nack(received, multiple, requeue)
  }

  reject({ message, requeue = true }) {
    const { on, received } = this.#messages.get(message)
    on.reject(received, requeue)
  }

  async recover({ channel }) {
    await (await this.#channel(channel)).recover()
  }

  async purge({ queue }) {
    return { messages: (await (await this.#channel()).purgeQueue(queue)).messageCount }
  }

  async delete({ queue, exchange, ...options }) {
    const on = await this.#channel()
    if (queue === undefined) await on.deleteExchange(exchange, camelKeys(options))
    else await on.deleteQueue(queue, camelKeys(options))
  }

  async serve({ queue, function: name }) {
    const on = await this.#channel('server')
    await on.assertQueue(queue, { durable: false })
    await on.prefetch(1)
    await on.consume(queue, (request) => {
      const result = FUNCTIONS[name](JSON.parse(request.content))
      const { replyTo, correlationId } = request.properties
      on.sendToQueue(replyTo, Buffer.from(JSON.stringify(result)), { correlationId, contentType: 'application/json' })
      on.ack(request)
    })
  }

  async call({ queue, call, body, timeout = TIMEOUT }) {
    if (!this.#channels.has('calls')) {
      const on = await this.#channel('calls')
      await on.consume(REPLY_TO, (reply) => this.#replies.get(reply.properties.correlationId)?.resolve(reply), {
        noAck: true,
      })
    }
    const id = String(call)
    const reply = new Promise((resolve) => this.#replies.set(id, { resolve }))
    this.#replies.get(id).answer = within(timeout, `no answer to call ${id}`, reply)
    this.#replies.get(id).answer.catch(() => {}) // `answer` tells of it
    await this.send({ queue, body, properties: { reply_to: REPLY_TO, correlation_id: id }, channel: 'calls' })
  }

  async answer({ call }) {
    const reply = this.#replies.get(String(call))
    return this.#received(await this.#channel('calls'), await reply.answer)
  }

  reply({ message, body }) {
    const { replyTo, correlationId } = this.#messages.get(message).received.properties
    return this.send({ queue: replyTo, body, properties: { correlation_id: correlationId } })
  }

  /** The channel of this name; a new one if an error has closed the last. */
  async #channel(name = 'main') {
    if (!this.#channels.has(name)) {
      const channel = await this.connection.createConfirmChannel()
      channel.on('error', (error) => (channel.failure = error))
      channel.on('close', () => this.#channels.delete(name))
      this.#channels.set(name, channel)
    }
    return this.#channels.get(name)
  }

  #received(on, received, message, settle) {
    if (message !== undefined) this.#messages.set(message, { on, received })
    if (settle === 'ack') on.ack(received)
    const { exchange, routingKey, redelivered } = received.fields
    return seen(received.content, {
      exchange,
      routing_key: routingKey,
      redelivered,
      headers: received.properties.headers ?? {},
      properties: propertiesOf(received.properties),
    })
  }
}
