// The Python processes.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'

const MADE = join(import.meta.dirname, '../../.venv/bin/python') // by `make`
const PYTHON = existsSync(MADE) ? MADE : 'python3'

export class Workers {
  #running = new Set()
  #stopping = false

  /** Starts them, and returns when all receive. Without any left, the process ends; Ctrl-C ends it and them. */
  static async start(count, ...args) {
    const workers = new Workers()
    process.once('SIGINT', () => {
      workers.stop()
      process.exit(130)
    })
    await Promise.all(Array.from({ length: count }, () => workers.#start(args)))
    return workers
  }

  async #start(args) {
    const worker = spawn(PYTHON, [join(import.meta.dirname, 'worker.py'), ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#running.add(worker)
    worker.on('exit', (status, signal) => {
      this.#running.delete(worker)
      if (this.#stopping) return
      console.error(`demo: a worker has ended: ${signal ?? `exit status ${status}`}`)
      if (this.#running.size === 0) fail('no worker is left')
    })
    worker.on('error', (error) => fail(`${PYTHON} cannot be started: ${error.message}`))
    await Promise.race([once(worker.stdout, 'data'), once(worker, 'exit')]) // it says that it is ready
  }

  /** Stops them, and returns when they have ended. */
  async stop() {
    this.#stopping = true
    const ends = [...this.#running].map((worker) => once(worker, 'exit'))
    for (const worker of this.#running) worker.kill()
    await Promise.all(ends)
  }
}

function fail(reason) {
  console.error(`demo: ${reason}`)
  process.exit(1)
}
