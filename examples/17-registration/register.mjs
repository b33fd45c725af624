// Somebody who registers: `node register.mjs PORT NAME LIKES`.
const [port, name, likes] = process.argv.slice(2)
const start = performance.now()
const response = await fetch(`http://127.0.0.1:${port}/users`, {
  method: 'POST',
  headers: { 'content-type': 'application/json' },
  body: JSON.stringify({ name, likes }),
})
const took = performance.now() - start
const { welcome } = await response.json()
console.log(`${response.status}: welcome, ${welcome}${took < 1000 ? '' : `; this took ${took} ms`}`)
