import type { Body } from './body'
import { Destination } from './destination'
import type { Door } from './door'
import { native } from './native'
import type {
  BatchReceipt,
  ExchangeOptions,
  ExchangeType,
  Fields,
  PublishOptions,
  Receipt,
  SendOptions,
} from './options'

/** An exchange that was declared, or the default one, whose name is empty. */
export class Exchange {
  /** Its name. */
  readonly name: string

  readonly #door: Door
  readonly #destination: Destination

  private constructor(door: Door, name: string) {
    this.name = name
    this.#door = door
    this.#destination = new Destination(
      door,
      name,
      name ? `exchange '${name}'` : 'the default exchange',
      false,
    )
  }

  /** @internal */
  static async declare(
    door: Door,
    name: string,
    type: ExchangeType,
    options: ExchangeOptions,
  ): Promise<Exchange> {
    const { durable = false, autoDelete = false, internal = false, passive = false } = options
    if (name !== '') {
      await door.control.run((channel) =>
        native.declareExchange(
          channel,
          name,
          type,
          passive,
          durable,
          autoDelete,
          internal,
          options.arguments,
        ),
      )
    }
    return new Exchange(door, name)
  }

  /**
   * Publishes a message. What no queue takes is dropped, and `routed` of the receipt is false; with
   * `mandatory` it comes back instead.
   * @param body bytes as they are, a string as text, everything else as JSON; see {@link Body}
   * @throws as `Queue.send`; `NOT_FOUND` when the exchange was deleted; with `mandatory`, `NO_ROUTE`, whose
   * `returned` is the message, when no queue took it
   */
  publish(body: Body, routingKey = '', options?: PublishOptions): Promise<Receipt> {
    return this.#destination.publish(routingKey, body, options)
  }

  /** Publishes messages in order, with one receipt for all: the fastest way to publish many. */
  publishMany(bodies: Iterable<Body>, routingKey = '', options?: SendOptions): Promise<BatchReceipt> {
    return this.#destination.publishMany(routingKey, bodies, options)
  }

  /** Binds it to another exchange, from which it then gets what matches. */
  async bind(source: Exchange | string, routingKey = '', args?: Fields): Promise<void> {
    const from = typeof source === 'string' ? source : source.name
    await this.#door.control.run((channel) => native.bind(channel, false, this.name, from, routingKey, args))
  }

  /** Removes a binding, given as for {@link bind}. That there is none is no error. */
  async unbind(source: Exchange | string, routingKey = '', args?: Fields): Promise<void> {
    const from = typeof source === 'string' ? source : source.name
    await this.#door.control.run((channel) =>
      native.unbind(channel, false, this.name, from, routingKey, args),
    )
  }

  /**
   * Deletes the exchange.
   * @throws `PRECONDITION_FAILED` when something is bound to it (with `ifUnused`)
   */
  async delete(options: { ifUnused?: boolean } = {}): Promise<void> {
    await this.#door.control.run((channel) =>
      native.deleteExchange(channel, this.name, options.ifUnused === true),
    )
  }
}
