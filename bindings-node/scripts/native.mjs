// Builds the native half and puts it where `lib/native.ts` looks for it.
import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'

const workspace = join(import.meta.dirname, '../..')
const json = execFileSync(
  'cargo',
  ['build', '--release', '--locked', '-p', 'warrenmq-node', '--message-format=json-render-diagnostics'],
  { cwd: workspace, stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28 },
)
const artifact = json
  .toString()
  .split('\n')
  .filter((line) => line.startsWith('{'))
  .map((line) => JSON.parse(line))
  .findLast((message) => message.target?.name === 'warrenmq_node' && message.filenames)
const library = artifact.filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
const dist = join(import.meta.dirname, '../dist')
mkdirSync(dist, { recursive: true })
const module = join(dist, `warrenmq.${process.platform}-${process.arch}.node`)
copyFileSync(library, `${module}.new`)
renameSync(`${module}.new`, module) // a process that has the old one loaded keeps it
