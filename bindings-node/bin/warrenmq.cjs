#!/usr/bin/env node
// The same command line as the `warrenmq` binary: see `npx warrenmq --help`.
const { native } = require('../dist/native.js')

// Node's own handlers for these raise the signal again. The broker's would call them as those that were
// there before, and so itself, for ever; to stop listening leaves none.
const nothing = () => {}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, nothing).off(signal, nothing)

process.exitCode = native.cli(['warrenmq', ...process.argv.slice(2)])
