import { WarrenError } from './errors'
import { type Answer, type NativeChannel, type NativeConnection, native } from './native'

/** A channel for one purpose; where the connection owns it, one that the broker closed is replaced. */
export class Lane {
  #opening: Promise<NativeChannel> | undefined

  constructor(
    /** Absent for a channel of the program's, which is not replaced. */
    readonly connection: NativeConnection | undefined,
    public channel: NativeChannel | undefined,
  ) {}

  /** The channel, if it can be used without waiting. */
  get ready(): NativeChannel | undefined {
    const { channel } = this
    return channel !== undefined && (!this.connection || native.isChannelOpen(channel)) ? channel : undefined
  }

  async open(): Promise<NativeChannel> {
    const { ready, connection } = this
    if (ready !== undefined) return ready
    this.#opening ??= this.#replace(connection as NativeConnection)
    return this.#opening
  }

  async #replace(connection: NativeConnection): Promise<NativeChannel> {
    try {
      this.channel = await native.openChannel(connection)
      return this.channel
    } finally {
      this.#opening = undefined
    }
  }

  /** Acts on the channel. */
  async run<T>(act: (channel: NativeChannel) => Answer<T>): Promise<T> {
    return act(this.ready ?? (await this.open()))
  }

  /** To be called after a failure: what comes next is to have another channel, if this one was closed by it. */
  failed(): void {
    if (this.connection && this.channel && !native.isChannelOpen(this.channel)) this.channel = undefined
  }

  /** Whether an operation that failed like this can be tried again on another channel. */
  replaces(error: unknown): boolean {
    const { connection, channel } = this
    return (
      connection !== undefined &&
      channel !== undefined &&
      error instanceof WarrenError &&
      error.code === 'CLOSED' &&
      !native.isChannelOpen(channel) &&
      native.isOpen(connection)
    )
  }
}
