// A flash sale: `node load.mjs PORT WAY CLIENTS…` has so many clients at once place a thousand orders, and notes in
// results.jsonl what came of it under the name of the way.
import { appendFileSync } from 'node:fs'
import { Shop } from './shop.mjs'

const ORDERS = 1000
const [port, way, ...rushes] = process.argv.slice(2)
const shop = new Shop()

/** The status of every answer, and how long it took in milliseconds. */
async function rush(clients) {
  const answers = []
  let placed = 0
  const client = async () => {
    while (placed < ORDERS) {
      const body = JSON.stringify({ customer: `customer ${++placed}` })
      const start = performance.now()
      const headers = { 'content-type': 'application/json' }
      const response = await fetch(`http://127.0.0.1:${port}/orders`, { method: 'POST', headers, body })
      await response.arrayBuffer()
      answers.push({ status: response.status, took: performance.now() - start })
    }
  }
  await Promise.all(Array.from({ length: clients }, client))
  return answers
}

for (const clients of rushes.map(Number)) {
  shop.reset()
  const start = performance.now()
  const answers = await rush(clients)
  const rate = (ORDERS / (performance.now() - start)) * 1000
  const sold = shop.sold()
  const slowest = Math.max(...answers.map(({ took }) => took))
  appendFileSync('results.jsonl', `${JSON.stringify({ way, clients, rate, sold, slowest })}\n`)

  const [told, refused] = [201, 409].map(
    (status) => answers.filter((answer) => answer.status === status).length,
  )
  const honest = told === sold && told + refused === ORDERS
  console.log(
    `${clients} clients: ${honest ? 'all answered, and rightly' : `sold ${sold}, told ${told}, refused ${refused}`}`,
  )
}
