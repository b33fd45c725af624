// The verbs of the scenarios in terms of WarrenMQ's own Node API.
import { connect, WarrenError } from 'warrenmq'
import { bodyOf, camelKeys, FUNCTIONS, fieldsOf, propertiesOf, seen, TIMEOUT, within } from './common.mjs'

const PERSISTENT = 2 // AMQP's delivery mode
const given = (fields) => fieldsOf(fields, (seconds) => new Date(seconds * 1000))

export function errorOf(error) {
  return error instanceof WarrenError ? { code: error.code, text: error.replyText } : null
}

/** AMQP's properties as options: there, persistence is a flag and an expiration is a number. */
function optionsOf(headers, properties = {}) {
  const { delivery_mode: mode, expiration, ...rest } = properties
  const options = { headers: given(headers), ...camelKeys(rest) }
  if (mode !== undefined) options.persistent = mode === PERSISTENT
  if (expiration !== undefined) options.expiration = Number(expiration)
  return options
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

  async queue({ name, channel, arguments: args, ...options }) {
    const queue = await (await this.#on(channel)).queue(name, { arguments: given(args), ...camelKeys(options) })
    return { name: queue.name, messages: queue.messageCount, consumers: queue.consumerCount }
  }

  async exchange({ name, type, channel, arguments: args, ...options }) {
    await (await this.#on(channel)).exchange(name, type, { arguments: given(args), ...camelKeys(options) })
  }

  async bind({ queue, destination, exchange, routing_key, arguments: args, channel }) {
    const handle = await this.#bindable(queue, destination, channel)
    await handle.bind(exchange, routing_key, args)
  }

  async unbind({ queue, destination, exchange, routing_key, arguments: args, channel }) {
    const handle = await this.#bindable(queue, destination, channel)
    await handle.unbind(exchange, routing_key, args)
  }

  async send({ queue, body, headers, properties, channel }) {
    await (await this.#queue(queue, channel)).send(bodyOf(body), optionsOf(headers, properties))
  }

  async publish({ exchange, routing_key = '', body, mandatory = false, headers, properties, channel }) {
    const to = await this.#exchange(exchange, channel)
    try {
      await to.publish(bodyOf(body), routing_key, { mandatory, ...optionsOf(headers, properties) })
    } catch (error) {
      if (error.code !== 'NO_ROUTE') throw error
      return { routed: false, returned: messageOf(error.returned) }
    }
    return mandatory ? { routed: true } : {}
  }

  async prefetch({ count, global = false, channel }) {
    await (await this.#on(channel)).prefetch(count, { global })
  }

  async consume({ queue, consumer, channel, arguments: args, ...options }) {
    const handle = await this.#queue(queue, channel)
    const watched = handle.consume({ arguments: given(args), ...camelKeys(options) })
    await watched.started
    this.#consumers.set(consumer, { handle, watched })
  }

  async cancelled({ consumer }) {
    const { watched } = this.#consumers.get(consumer)
    const end = watched.next().catch((error) => error)
    const { code } = await within(TIMEOUT, `${consumer} has not been cancelled`, end)
    if (code !== 'CLOSED' || !this.#mq.isOpen) throw new Error(`consumer ${consumer} ended with ${code}`)
  }

  async cancel({ consumer }) {
    await this.#consumers.get(consumer).watched.cancel()
    this.#consumers.delete(consumer)
  }

  async take({ consumer, message, settle }) {
    const taken = await this.#consumers.get(consumer).watched.get({ timeout: TIMEOUT * 1000 })
    if (!taken) throw new Error(`no message for consumer ${consumer}`)
    return this.#received(taken, message, settle)
  }

  /** The declare is answered after every delivery that the queue has made; these are given a moment to arrive. */
  async nothing({ consumer }) {
    const { handle, watched } = this.#consumers.get(consumer)
    await this.#mq.queue(handle.name, { passive: true })
    const message = await watched.get({ timeout: 100 })
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

  async select({ channel }) {
    await (await this.#on(channel)).txSelect()
  }

  async commit({ channel }) {
    await (await this.#on(channel)).txCommit()
  }

  async rollback({ channel }) {
    await (await this.#on(channel)).txRollback()
  }

  async purge({ queue }) {
    return { messages: await (await this.#queue(queue)).purge() }
  }

  async delete({ queue, exchange, ...options }) {
    if (queue !== undefined) return { messages: await (await this.#queue(queue)).delete(camelKeys(options)) }
    await (await this.#exchange(exchange)).delete(camelKeys(options))
  }

  async serve({ queue, function: name }) {
    await this.#mq.serve(queue, FUNCTIONS[name])
  }

  call({ queue, call, body, timeout = TIMEOUT }) {
    const answer = this.#mq.call(queue, bodyOf(body), { timeout: timeout * 1000, raw: true })
    answer.catch(() => {}) // `answer` tells of it
    this.#calls.set(call, answer)
  }

  async answer({ call }) {
    return this.#received(await this.#calls.get(call))
  }

  async reply({ message, body }) {
    const { replyTo, correlationId } = this.#messages.get(message)
    await (await this.#exchange('')).publish(bodyOf(body), replyTo, { correlationId })
  }

  /** The connection itself, or its channel of this name; a new one if an error has closed the last. */
  async #on(channel) {
    if (channel === undefined) return this.#mq
    if (!this.#channels.get(channel)?.isOpen) this.#channels.set(channel, await this.#mq.channel())
    return this.#channels.get(channel)
  }

  async #queue(name, channel) {
    return (await this.#on(channel)).queue(name, { passive: true })
  }

  async #exchange(name, channel) {
    return (await this.#on(channel)).exchange(name, undefined, { passive: true })
  }

  #bindable(queue, exchange, channel) {
    return queue === undefined ? this.#exchange(exchange, channel) : this.#queue(queue, channel)
  }

  #received(received, message, settle) {
    if (message !== undefined) this.#messages.set(message, received)
    if (settle === 'ack') received.ack()
    return messageOf(received)
  }
}

function messageOf({ body, exchange, routingKey, redelivered, headers, properties }) {
  return seen(body, {
    exchange,
    routing_key: routingKey,
    redelivered,
    headers: headers ?? {},
    properties: propertiesOf(properties),
  })
}
