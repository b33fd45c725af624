// Millions of messages leave the process as large as it was, and what is closed gives back what it had.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { run } from './helpers.mjs'

const options = { skip: process.platform !== 'linux' && 'asks /proc' }
const directory = async () => `local:${join(await mkdtemp(join(tmpdir(), 'warrenmq-')), 'queues')}`

const WORDS = `
  import { readdirSync, readFileSync } from 'node:fs'
  import { setTimeout as rest } from 'node:timers/promises'
  import assert from 'node:assert/strict'

  /** MiB in memory. */
  const resident = (pid) => Number(readFileSync('/proc/' + pid + '/statm', 'utf8').split(' ')[1]) / 256
  /** The same of this process, without the engine's heap, which grows and shrinks by MiB as it sees fit. */
  const own = () => resident('self') - process.memoryUsage().heapTotal / 2 ** 20
  const had = (what) => readdirSync('/proc/self/' + what).length
  /** Bytes of objects that are reachable. */
  const heap = () => (gc(), gc(), process.memoryUsage().heapUsed)

  /** Sends messages and receives them, a thousand at a time. */
  async function passOn(mq, count) {
    const tasks = await mq.queue('tasks')
    const messages = tasks.consume({ prefetch: 1000 })
    const bodies = Array.from({ length: 1000 }, () => Buffer.alloc(128))
    for (let done = 0; done < count; done += 1000) {
      await tasks.sendMany(bodies)
      for (let taken = 0; taken < 1000; taken++) (await messages.get()).ack()
    }
    await messages.cancel()
  }
`

/** V8 takes more memory for young objects the faster they come, and keeps it: ten MiB that say nothing of us. */
const YOUNG = ['--min-semi-space-size=4', '--max-semi-space-size=4']

/** Runs a program that knows the words above, and awaits nothing else of it than that it succeeds. */
async function play(program) {
  const args = ['--expose-gc', ...YOUNG]
  const { status, stderr, timedOut } = await run(WORDS + program, { timeout: 120_000, args })
  assert.deepEqual([status, timedOut], [0, false], stderr)
}

/** Has `use` work while another process has the directory open; it gets its number. */
async function whileHosted(url, use) {
  const program = `
    import { connect } from 'warrenmq'
    const mq = await connect(${JSON.stringify(url)})
    process.stdin.on('end', () => mq.close()).resume()
    console.log()
  `
  const host = spawn(process.execPath, ['--input-type=module', '-e', program], {
    cwd: import.meta.dirname,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const ended = once(host, 'exit')
  try {
    await once(host.stdout, 'data')
    await use(host.pid)
  } finally {
    host.stdin.end()
  }
  assert.deepEqual(await ended, [0, null])
}

// The engine frees the memory under its buffers in its own time, so that by MiB more is in use at some moments than at
// others: the least of several looks afterwards is compared with the most of those before.
const millions = (url, ...processes) => `
  const mq = await connect(${JSON.stringify(url)})
  async function look(choose) {
    const sizes = []
    for (let time = 0; time < 8; time++) {
      await passOn(mq, 50_000)
      heap()
      sizes.push([own(), ...${JSON.stringify(processes)}.map(resident)])
    }
    return sizes[0].map((_, index) => choose(...sizes.map((size) => size[index])))
  }
  await passOn(mq, 200_000)
  const before = await look(Math.max)
  const objects = heap()
  await passOn(mq, 2_000_000)
  const more = heap() - objects
  const grown = (await look(Math.min)).map((size, index) => size - before[index])
  await mq.close()
  assert.ok(Math.max(...grown) < 8, 'it grew by ' + grown + ' MiB')
  assert.ok(more < 1e6, more + ' bytes of objects stayed')
`

test('millions of messages within the process leave it as large as it was', options, () =>
  play(millions('inproc://')),
)

test('millions of messages through another process leave both as large as they were', options, async () => {
  const url = await directory()
  await whileHosted(url, (pid) => play(millions(url, pid)))
})

test('what is closed gives back its descriptors, threads and handles', options, async () => {
  const attached = await directory()
  const urls = JSON.stringify(['inproc://', attached, await directory()])
  const program = `
    async function use(url) {
      const mq = await connect(url)
      mq.on('reconnected', () => {})
      const address = url === 'inproc://' ? await mq.listen('127.0.0.1:0') : undefined
      await mq.serve('double', (number) => number * 2)
      assert.equal(await mq.call('double', 21), 42)
      const tasks = await mq.queue('tasks')
      await tasks.consume().started
      await tasks.send('left unacknowledged')
      if (address) await use('amqp://' + address)
      await mq.close()
    }
    // The runtime keeps a few threads of its own for some seconds; the broker closes its sockets in its own time.
    const givenBack = () => had('fd') <= descriptors && had('task') <= threads + 4
    const handles = () => process.getActiveResourcesInfo().length

    for (const url of ${urls}) await use(url)
    await rest(500)
    const descriptors = had('fd')
    const threads = had('task')
    const active = handles()
    for (let round = 0; round < 10; round++) for (const url of ${urls}) await use(url)
    const begun = Date.now()
    while (!givenBack() && Date.now() - begun < 20_000) await rest(50)
    assert.deepEqual([givenBack(), handles()], [true, active], descriptors + ' ' + had('fd') + ' ' + threads + ' ' + had('task'))
  `
  await whileHosted(attached, () => play(program))
})
