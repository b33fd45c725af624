// Carries out scenario steps by one API: `warrenmq` or `amqplib`.
export class Player {
  #api
  #sessions = new Map()

  constructor(api) {
    this.#api = import(`./${api}_session.mjs`)
  }

  /** What came of a step: {value}, {error} or {crash}. */
  async answer(step) {
    const { Session, errorOf } = await this.#api
    try {
      return { value: (await this.#carryOut(Session, step)) ?? null }
    } catch (error) {
      const known = errorOf(this.#sessions.get(step.role)?.failure ?? error)
      return known ? { error: known } : { crash: error.stack }
    }
  }

  async #carryOut(Session, { role, do: verb, ...step }) {
    switch (verb) {
      case 'open':
        this.#sessions.set(role, await Session.open(step))
        return
      case 'reset':
        for (const session of this.#sessions.values()) await session.close()
        this.#sessions.clear()
        return
      case 'close': {
        const session = this.#sessions.get(role)
        this.#sessions.delete(role)
        return session.close()
      }
      default:
        return this.#sessions.get(role)[verb](step)
    }
  }
}
