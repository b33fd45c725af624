#!/usr/bin/env node
// The same command line as the `warrenmq` binary: see `npx warrenmq --help`.
const { native } = require('../dist/native.js')

process.exitCode = native.cli(['warrenmq', ...process.argv.slice(2)])
