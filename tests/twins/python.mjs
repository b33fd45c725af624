// CPython inside this Node process, by node-calls-python. It asks `python3-config` where its libpython is, which must be
// that of the system: one from elsewhere beside it would make two interpreters.
import { createRequire } from 'node:module'
import { join } from 'node:path'

process.env.PATH = `/usr/bin:${process.env.PATH}`
const { interpreter } = createRequire(import.meta.url)('node-calls-python')
interpreter.addImportPath(join(import.meta.dirname, '../../bindings-python/python'))

/**
 * Imports a Python module from a directory. `call(name, ...)` runs one of its functions on another thread,
 * `callSync(name, ...)` on this one.
 */
export function python(directory, module) {
  interpreter.addImportPath(directory)
  const imported = interpreter.importSync(module)
  return {
    call: (name, ...values) => interpreter.call(imported, name, ...values),
    callSync: (name, ...values) => interpreter.callSync(imported, name, ...values),
  }
}
