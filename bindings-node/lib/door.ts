import type { Lane } from './lane'
import type { Message } from './message'
import type { Settler } from './settler'

/** Through which queues and exchanges act: a connection, or one channel of it. */
export interface Door {
  /** For declaring, binding and the like. */
  readonly control: Lane
  /** For publishing. */
  readonly publishing: Lane
  /** For fetching single messages. */
  fetching(): Promise<Settler>
  /** For one consumer. */
  consuming(prefetch: number | undefined): Promise<{ settler: Settler; own: boolean }>
  /** Whether it has been closed, by its user or by the broker. */
  readonly closing: boolean
  /** Tells of an error that belongs to no call. */
  report(error: unknown): void
  /** Tells of a message that came back. */
  returned(message: Message): void
}
