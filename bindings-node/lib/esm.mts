// The same module for `import`: one copy of the classes and of the native half, however the package is loaded.
export * from './index.js'
