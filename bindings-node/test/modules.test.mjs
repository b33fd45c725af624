import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import * as imported from 'warrenmq'
import { run } from './helpers.mjs'

const required = createRequire(import.meta.url)('warrenmq')

test('import and require give the same things', () => {
  const names = Object.keys(required).filter((name) => name !== '__esModule')
  assert.ok(names.includes('connect') && names.includes('WarrenError'))
  for (const name of names) assert.equal(Reflect.get(imported, name), required[name], name)
})

test('a program in CommonJS works', async () => {
  const result = await run(
    `
    connect('inproc://').then(async (mq) => {
      await mq.queue('q', { passive: true }).catch((error) => console.log(error instanceof WarrenError, error.code))
    })
  `,
    { type: 'commonjs' },
  )
  assert.deepEqual([result.stdout, result.stderr, result.status], ['true NOT_FOUND\n', '', 0])
})

test('the package has the version of the workspace', () => {
  const manifest = readFileSync(new URL('../../Cargo.toml', import.meta.url), 'utf8')
  const { version } = createRequire(import.meta.url)('warrenmq/package.json')
  assert.ok(manifest.includes(`\nversion = "${version}"`))
})

test('the lock file names no registry', () => {
  const lock = readFileSync(new URL('../package-lock.json', import.meta.url), 'utf8')
  assert.doesNotMatch(lock, /"resolved"/)
})

test('the module can be loaded again in the same environment', async () => {
  const result = await run(
    `
    const again = () => {
      for (const path of Object.keys(require.cache)) delete require.cache[path]
      return require('warrenmq')
    }
    ;(async () => {
      const one = await connect('inproc://x')
      const two = await again().connect('inproc://x')
      const queue = await one.queue('q')
      two.queue('q').then((queue) => queue.send('hello'))
      for await (const message of queue.consume()) {
        console.log(message.text())
        break
      }
      await two.queue('nope', { passive: true }).catch((error) => console.log(error.code))
    })()
  `,
    { type: 'commonjs' },
  )
  assert.deepEqual([result.stdout, result.stderr, result.status], ['hello\nNOT_FOUND\n', '', 0])
})
