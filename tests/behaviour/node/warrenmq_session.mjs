// The verbs of the scenarios in terms of WarrenMQ's own Node API.
import { connect } from 'warrenmq'
import { bodyOf, camelKeys, FUNCTIONS, propertiesOf, seen, TIMEOUT } from './common.mjs'

export function errorOf(error) {
  return typeof error.code === 'string' && 'replyCode' in error
    ? { code: error.code, text: error.replyText ?? error.message }
    : null
}

/** One role: a connection with its channels, consumers, held messages and calls, each under its name. */
export class Session {
  #mq
  #channels = new Map()
  #consumers = new Map()
  #messages = new Map()
  #calls = new Map()

  static async open({ url }) {
    const session = new Session()
    session.#mq = await connect(url)
    return session
  }

  close() {
    return this.#mq.close()
  }

  async queue({ name, channel, ...options }) {
    const queue = await (await this.#on(channel)).queue(name, camelKeys(options))
    return { name: queue.name, messages: queue.messageCount, consumers: queue.consumerCount }
  }

  async exchange({ name, channel, ...options }) {
    await (await this.#on(channel)).exchange(name, camelKeys(options))
  }

  async bind({ queue, destination, exchange, routing_key, arguments: args, channel }) {
    const handle = await this.#bindable(queue, destination, channel)
    await handle.bind(exchange, routing_key, { arguments: args })
  }

  async unbind({ queue, destination, exchange, routing_key, arguments: args, channel }) {
    const handle = await this.#bindable(queue, destination, channel)
    await handle.unbind(exchange, routing_key, { arguments: args })
  }

  async send({ queue, body, headers, properties, channel }) {
    await (await this.#queue(queue, channel)).send(bodyOf(body), { headers, ...camelKeys(properties) })
  }

  async publish({ exchange, routing_key = '', body, mandatory = false, headers, properties, channel }) {
    const to = await this.#exchange(exchange, channel)
    const options = { routingKey: routing_key, mandatory, headers, ...camelKeys(properties) }
    const { routed } = await to.publish(bodyOf(body), options)
    return mandatory ? { routed } : {}
  }

  async prefetch({ count, global = false, channel }) {
    await (await this.#on(channel)).prefetch(count, { global })
  }

  async consume({ queue, consumer, channel, ...options }) {
    const handle = await this.#queue(queue, channel)
    this.#consumers.set(consumer, { handle, watched: await handle.consume(camelKeys(options)) })
  }

  async cancel({ consumer }) {
    await this.#consumers.get(consumer).watched.cancel()
    this.#consumers.delete(consumer)
  }

  async take({ consumer, message, settle }) {
    const received = await this.#consumers.get(consumer).watched.get({ timeout: TIMEOUT * 1000 })
    return this.#received(received, message, settle)
  }

  /** The declare is answered after every delivery that the queue has made; these are given a moment to arrive. */
  async nothing({ consumer }) {
    const { handle, watched } = this.#consumers.get(consumer)
    await this.#mq.queue(handle.name, { passive: true })
    const message = await watched.get({ timeout: 100 }).catch((error) => {
      if (error.code !== 'TIMEOUT') throw error
    })
    if (message) throw new Error(`unexpected message for consumer ${consumer}`)
  }

  async get({ queue, no_ack, message, settle, channel }) {
    const got = await (await this.#queue(queue, channel)).get({ noAck: no_ack })
    return got ? this.#received(got, message, settle) : null
  }

  ack({ message, ...options }) {
    return this.#messages.get(message).ack(options)
  }

  nack({ message, ...options }) {
    return this.#messages.get(message).nack(options)
  }

  reject({ message, ...options }) {
    return this.#messages.get(message).reject(options)
  }

  async recover({ channel }) {
    await (await this.#on(channel)).recover()
  }

  async purge({ queue }) {
    return { messages: await (await this.#queue(queue)).purge() }
  }

  async delete({ queue, exchange, ...options }) {
    const handle = await (queue === undefined ? this.#exchange(exchange) : this.#queue(queue))
    await handle.delete(camelKeys(options))
  }

  async serve({ queue, function: name }) {
    await this.#mq.serve(queue, FUNCTIONS[name])
  }

  call({ queue, call, body, timeout = TIMEOUT }) {
    const answer = this.#mq.call(queue, bodyOf(body), { timeout: timeout * 1000 })
    answer.catch(() => {}) // `answer` tells of it
    this.#calls.set(call, answer)
  }

  async answer({ call }) {
    return this.#received(await this.#calls.get(call))
  }

  async reply({ message, body }) {
    const { replyTo, correlationId } = this.#messages.get(message).properties
    await (await this.#exchange('')).publish(bodyOf(body), { routingKey: replyTo, correlationId })
  }

  /** The connection itself, or its channel of this name. */
  async #on(channel) {
    if (channel === undefined) return this.#mq
    if (!this.#channels.has(channel)) this.#channels.set(channel, await this.#mq.channel())
    return this.#channels.get(channel)
  }

  async #queue(name, channel) {
    return (await this.#on(channel)).queue(name, { passive: true })
  }

  async #exchange(name, channel) {
    return (await this.#on(channel)).exchange(name, { passive: true })
  }

  #bindable(queue, exchange, channel) {
    return queue === undefined ? this.#exchange(exchange, channel) : this.#queue(queue, channel)
  }

  async #received(received, message, settle) {
    if (message !== undefined) this.#messages.set(message, received)
    if (settle === 'ack') await received.ack()
    return seen(received.body, {
      exchange: received.exchange,
      routing_key: received.routingKey,
      redelivered: received.redelivered,
      headers: received.headers ?? {},
      properties: propertiesOf(received.properties),
    })
  }
}
