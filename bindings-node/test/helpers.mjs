import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { connect } from 'warrenmq'

let last = 0

/** A connection to a broker of the test's own, closed with the test. */
export async function open(t, url = 'inproc://') {
  const mq = await connect(url)
  t.after(() => mq.close())
  return mq
}

/** A name that nothing else uses. */
export const unique = (name) => `${name}-${process.pid}-${++last}`

/** Resolves after a turn of the event loop, in which acknowledgements are handed over. */
export const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

/** Takes the next `count` messages without acknowledging them. */
export async function take(consumer, count) {
  const messages = []
  while (messages.length < count) {
    const message = await consumer.get({ timeout: 5000 })
    if (message === null) throw new Error(`only ${messages.length} of ${count} messages came`)
    messages.push(message)
  }
  return messages
}

/** Runs a module that imports `connect` and `WarrenError`; what came of it. */
export function run(source, { timeout = 10_000, type = 'module', args = [], kill } = {}) {
  const imports =
    type === 'module'
      ? `import { connect, WarrenError } from 'warrenmq'\n`
      : `const { connect, WarrenError } = require('warrenmq')\n`
  const child = spawn(process.execPath, [...args, `--input-type=${type}`, '--eval', imports + source], {
    cwd: import.meta.dirname,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  return finished(child, { timeout, kill })
}

/** Waits for a child process; with `kill`, sends that signal once it has printed something. */
export function finished(child, { timeout = 10_000, kill } = {}) {
  return new Promise((resolve) => {
    const result = { stdout: '', stderr: '', timedOut: false }
    const timer = setTimeout(() => {
      result.timedOut = true
      child.kill('SIGKILL')
    }, timeout)
    child.stdout.on('data', (data) => {
      result.stdout += data
      if (kill) child.kill(kill)
    })
    child.stderr.on('data', (data) => {
      result.stderr += data
    })
    child.on('close', (status, signal) => {
      clearTimeout(timer)
      resolve({ ...result, status, signal })
    })
  })
}

/** Runs `warrenmq serve` as long as the test; its process and its URL. */
export async function serve(t) {
  const args = [
    join(import.meta.dirname, '../bin/warrenmq.cjs'),
    'serve',
    '--memory',
    '--amqp',
    '127.0.0.1:0',
  ]
  const child = spawn(process.execPath, args)
  t.after(() => child.kill('SIGKILL'))
  const ready = await new Promise((resolve) => child.stdout.once('data', resolve))
  return { child, url: `${ready}`.replace('ready', '').trim() }
}
