// Carries out scenario steps in Node and in a Python within the same process, role by role in turns. See ../README.md.
//
//     node twins.mjs node,python|python,node
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { python } from '../../twins/python.mjs'
import { Player } from './player.mjs'

const node = new Player('warrenmq')
const snake = python(join(import.meta.dirname, '../python'), 'twin')
const ask = {
  node: (step) => node.answer(step),
  python: async (step) => JSON.parse(await snake.call('answer', JSON.stringify(step))),
}
const turns = process.argv[2].split(',')
const roles = new Map()

async function answer(step) {
  if (step.do === 'reset') {
    roles.clear()
    for (const turn of turns) await ask[turn]({ ...step })
    return { value: null }
  }
  if (!roles.has(step.role)) roles.set(step.role, turns[roles.size % turns.length])
  return ask[roles.get(step.role)](step)
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`)
}
process.exit() // node-calls-python would wait for nothing in particular
