// The verbs of the scenarios in terms of amqplib's promise API.
import { createRequire } from 'node:module'
import { connect } from 'amqplib'
import { bodyOf, camelKeys, FUNCTIONS, fieldsOf, Inbox, propertiesOf, REPLY_CODES, seen, TIMEOUT, within } from './common.mjs'

// Transactions and flow are in amqplib's protocol, which it does not export, but not among its methods.
const defs = createRequire(createRequire(import.meta.url).resolve('amqplib'))('./lib/defs.js')
const REPLY_TO = 'amq.rabbitmq.reply-to'

const timestamp = (value) => ({ '!': 'timestamp', value })
const given = (fields) => fieldsOf(fields, timestamp)

export function errorOf(error) {
  if (error.code === 'TIMEOUT') return { code: 'TIMEOUT', text: error.message }
  if (error.message === 'message nacked') return { code: 'NACKED', text: error.message }
  if (!Number.isInteger(error.code)) return null
  return { code: REPLY_CODES[error.code] ?? error.code, text: error.message.match(/with message "(.*)"$/s)?.[1] }
}

/** One role: a connection with its channels, consumers, held messages and calls, each under its name. */
export class Session {
  #channels = new Map()
  #opened = new Map() // the last channel of each name, open or not
  #consumers = new Map()
  #messages = new Map()
  #replies = new Map()

  static async open({ url }) {
    const session = new Session()
    session.connection = await connect(url)
    session.failed = new Promise((resolve) => session.connection.on('error', resolve))
    session.connection.on('error', (error) => (session.failure = error))
    return session
  }

  /** Channels first: amqplib may send a connection's close before a channel's last acks. */
  async close() {
    if (this.failure) return // which closed it
    for (const channel of this.#channels.values()) await channel.close()
    await this.connection.close()
  }

  async queue({ name, channel, passive, arguments: args, ...options }) {
    const on = await this.#channel(channel)
    const ok = passive
      ? await on.checkQueue(name)
      : await on.assertQueue(name, { durable: false, arguments: given(args), ...camelKeys(options) })
    return { name: ok.queue, messages: ok.messageCount, consumers: ok.consumerCount }
  }

  async exchange({ name, type = 'direct', channel, passive, arguments: args, ...options }) {
    const on = await this.#channel(channel)
    if (passive) await on.checkExchange(name)
    else await on.assertExchange(name, type, { durable: false, arguments: given(args), ...camelKeys(options) })
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
    const options = { ...camelKeys(properties), headers: given(headers), mandatory }
    let content = bodyOf(body)
    if (typeof content === 'string') content = Buffer.from(content)
    if (!Buffer.isBuffer(content)) {
      content = Buffer.from(JSON.stringify(content))
      options.contentType = 'application/json'
    }
    if (on.transactional) {
      on.publish(exchange, routing_key, content, options)
      return {}
    }
    let returned // a return comes before the confirm of its message
    const notice = (message) => (returned = message)
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
    if (!mandatory) return {}
    if (!returned) return { routed: true }
    const { replyCode, replyText } = returned.fields
    return { routed: false, returned: { ...messageOf(returned), reply_code: replyCode, reply_text: replyText } }
  }

  async prefetch({ count, global = false, channel }) {
    await (await this.#channel(channel)).prefetch(count, global)
  }

  async consume({ queue, consumer, prefetch, no_ack = false, exclusive = false, tag, arguments: args, channel }) {
    const on = await this.#channel(channel)
    if (prefetch !== undefined) await on.prefetch(prefetch)
    const inbox = new Inbox()
    const options = { noAck: no_ack, exclusive, consumerTag: tag, arguments: given(args) }
    const { consumerTag } = await on.consume(queue, (message) => inbox.push(message), options)
    this.#consumers.set(consumer, { on, queue, consumerTag, inbox })
  }

  /** amqplib tells of it by a message that is null. */
  async cancelled({ consumer }) {
    const message = await this.#consumers.get(consumer).inbox.take(TIMEOUT, `${consumer} has not been cancelled`)
    if (message !== null) throw new Error(`a message for consumer ${consumer}, which should have been cancelled`)
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

  async recover({ requeue = true, channel }) {
    await (await this.#channel(channel)).rpc(defs.BasicRecover, { requeue }, defs.BasicRecoverOk)
  }

  async select({ channel }) {
    const on = await this.#open(channel, await this.connection.createChannel())
    on.transactional = true
    await on.rpc(defs.TxSelect, {}, defs.TxSelectOk)
  }

  async commit({ channel }) {
    await (await this.#channel(channel)).rpc(defs.TxCommit, {}, defs.TxCommitOk)
  }

  async rollback({ channel }) {
    await (await this.#channel(channel)).rpc(defs.TxRollback, {}, defs.TxRollbackOk)
  }

  async flow({ active, channel }) {
    return (await this.#channel(channel)).rpc(defs.ChannelFlow, { active }, defs.ChannelFlowOk)
  }

  async broken({ channel = 'main' }) {
    const { failed } = this.#opened.get(channel)
    throw await within(TIMEOUT, `channel ${channel} is still open`, Promise.race([failed, this.failed]))
  }

  async purge({ queue }) {
    return { messages: (await (await this.#channel()).purgeQueue(queue)).messageCount }
  }

  async delete({ queue, exchange, ...options }) {
    const on = await this.#channel()
    if (queue !== undefined) return { messages: (await on.deleteQueue(queue, camelKeys(options))).messageCount }
    await on.deleteExchange(exchange, camelKeys(options))
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
    return this.#channels.get(name) ?? this.#open(name, await this.connection.createConfirmChannel())
  }

  #open(name, channel) {
    channel.failed = new Promise((resolve) => channel.on('error', resolve))
    channel.on('error', (error) => (channel.failure = error))
    channel.on('close', () => this.#channels.delete(name))
    this.#channels.set(name, channel)
    this.#opened.set(name, channel)
    return channel
  }

  #received(on, received, message, settle) {
    if (message !== undefined) this.#messages.set(message, { on, received })
    if (settle === 'ack') on.ack(received)
    return messageOf(received)
  }
}

function messageOf({ content, fields, properties }) {
  return seen(content, {
    exchange: fields.exchange,
    routing_key: fields.routingKey,
    redelivered: fields.redelivered ?? false,
    headers: properties.headers ?? {},
    properties: propertiesOf(properties),
  })
}
