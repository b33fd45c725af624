// Carries out scenario steps: one JSON line in, one JSON line out. See ../README.md.
//
//     node runner.mjs warrenmq|amqplib
import { createInterface } from 'node:readline'
import { Player } from './player.mjs'

const player = new Player(process.argv[2])
for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await player.answer(JSON.parse(line)))}\n`)
}
