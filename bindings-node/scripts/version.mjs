// Takes the package's version from the workspace, where the one version stands; with --check only compares.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const here = (path) => join(import.meta.dirname, path)
const manifest = readFileSync(here('../../Cargo.toml'), 'utf8')
const version = /^\[workspace\.package\][^[]*?^version = "([^"]+)"/m.exec(manifest)[1]

for (const path of ['../package.json', '../package-lock.json']) {
  const text = readFileSync(here(path), 'utf8')
  const json = JSON.parse(text)
  const own = json.packages?.[''] ?? json
  if (json.version === version && own.version === version) continue
  if (process.argv.includes('--check')) {
    console.error(
      `${path.slice(3)} has version ${json.version}, the workspace ${version}: run "node scripts/version.mjs"`,
    )
    process.exitCode = 1
  } else {
    json.version = own.version = version
    writeFileSync(here(path), `${JSON.stringify(json, null, 2)}\n`)
  }
}
