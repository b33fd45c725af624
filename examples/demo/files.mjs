// Which files are counted, and their lines.
import { spawnSync } from 'node:child_process'
import { createReadStream, existsSync, readdirSync } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const SOURCE = /(\.(rs|py|pyi|mjs|cjs|ts|mts|md|toml|json|html|css)|Makefile)$/
const BUILT = new Set(['node_modules', 'target', 'dist', '__pycache__'])
const BATCH = 500
const NEWLINE = 10

/** This project's own sources: what git knows, or else what lies there. */
export function sources() {
  const git = spawnSync('git', ['-C', ROOT, 'ls-files', '-z'], { encoding: 'utf8' })
  const names = git.status === 0 ? git.stdout.split('\0') : walk('')
  return names
    .filter((name) => SOURCE.test(name))
    .map((name) => relative('.', join(ROOT, name)))
    .filter((path) => existsSync(path))
}

function walk(folder) {
  return readdirSync(join(ROOT, folder), { withFileTypes: true })
    .filter(({ name }) => !name.startsWith('.') && !BUILT.has(name))
    .flatMap((entry) => {
      const name = join(folder, entry.name)
      return entry.isDirectory() ? walk(name) : name
    })
}

/** Those of the paths that can be counted, and why the others cannot. */
export async function regular(paths) {
  const files = []
  const unusable = []
  for (const path of paths) {
    try {
      const found = await stat(path)
      if (!found.isFile()) throw new Error('not a regular file')
      await access(path, constants.R_OK)
      files.push({ path, size: found.size, counted: { lines: 0, words: 0, bytes: 0 } })
    } catch (error) {
      unusable.push(`${path}: ${error.code === 'ENOENT' ? 'no such file' : error.message}`)
    }
  }
  return { files, unusable }
}

/** The lines of a file, as bytes with their newlines, some at a time. The last one may lack its newline. */
export async function* batches(path) {
  let lines = []
  let begun = [] // pieces of a line that goes on in the next chunk
  for await (const chunk of createReadStream(path)) {
    let start = 0
    let end = chunk.indexOf(NEWLINE) + 1
    while (end > 0) {
      const rest = chunk.subarray(start, end)
      lines.push(begun.length > 0 ? Buffer.concat([...begun, rest]) : rest)
      begun = []
      if (lines.length === BATCH) {
        yield lines
        lines = []
      }
      start = end
      end = chunk.indexOf(NEWLINE, start) + 1
    }
    if (start < chunk.length) begun.push(chunk.subarray(start))
  }
  if (begun.length > 0) lines.push(Buffer.concat(begun))
  if (lines.length > 0) yield lines
}
