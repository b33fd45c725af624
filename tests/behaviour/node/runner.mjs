// Carries out scenario steps: one JSON line in, one JSON line out. See ../README.md.
//
//     node runner.mjs warrenmq|amqplib
import { createInterface } from 'node:readline'

const { Session, errorOf } = await import(`./${process.argv[2]}_session.mjs`)
const sessions = new Map()

async function carryOut({ role, do: verb, ...step }) {
  switch (verb) {
    case 'open':
      sessions.set(role, await Session.open(step))
      return
    case 'reset':
      for (const session of sessions.values()) await session.close()
      sessions.clear()
      return
    case 'close': {
      const session = sessions.get(role)
      sessions.delete(role)
      return session.close()
    }
    default:
      return sessions.get(role)[verb](step)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line)
  let answer
  try {
    answer = { value: (await carryOut(step)) ?? null }
  } catch (error) {
    const known = errorOf(sessions.get(step.role)?.failure ?? error)
    answer = known ? { error: known } : { crash: error.stack }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
