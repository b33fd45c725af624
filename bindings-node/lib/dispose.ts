// Node before 20.5 has no `Symbol.asyncDispose`; `await using` compiled for it looks for this one.
const symbols = Symbol as { asyncDispose?: symbol }
symbols.asyncDispose ??= Symbol.for('nodejs.asyncDispose')
