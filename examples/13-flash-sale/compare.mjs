// Compares the ways in results.jsonl by their rates; with --chart, makes chart.svg and a table of it as well.
import { readFileSync, writeFileSync } from 'node:fs'
import { STOCK } from './shop.mjs'

/** Of what one order at a time does. To wait 40 ms for a delayed TCP acknowledgement at every order leaves 12%. */
const ENOUGH = 0.6 // so that other work on the machine is not taken for that

const results = readFileSync('results.jsonl', 'utf8').trim().split('\n').map(JSON.parse)
const ways = [...new Set(results.map(({ way }) => way))]
const bound = Math.max(...results.filter(({ way }) => way === 'in turn').map(({ rate }) => rate))

for (const way of ways) {
  const runs = results.filter((result) => result.way === way)
  const most = Math.max(...runs.map(({ sold }) => sold))
  const kept = runs.every(({ rate }) => rate >= ENOUGH * bound)
  const sold = most > STOCK ? 'sold too many' : `sold ${most} of ${STOCK}`
  console.log(`${way}: ${sold}${kept ? '' : ', and much slower than one at a time'}`)
}

if (process.argv.includes('--chart')) {
  console.log(`\n| way | clients | orders/s | of one at a time | slowest answer | sold of ${STOCK} |`)
  console.log('|---|--:|--:|--:|--:|--:|')
  for (const { way, clients, rate, sold, slowest } of results) {
    const share = way === 'straight' ? '' : `${Math.round((100 * rate) / bound)}%`
    console.log(
      `| ${way} | ${clients} | ${rate.toFixed(0)} | ${share} | ${(slowest / 1000).toFixed(1)} s | ${sold} |`,
    )
  }
  writeFileSync('chart.svg', chart())
}

/** A bar for each run, as long as its rate; red where too many were sold. The line is one order at a time. */
function chart() {
  const [row, left, right] = [22, 190, 600]
  const x = (rate) => Math.min(right, left + ((right - left) * rate) / (1.2 * bound)).toFixed(1)
  const bars = results.map(({ way, clients, rate, sold }, i) => {
    const y = 40 + i * row
    const label = `${rate.toFixed(0)}/s${x(rate) === x(Infinity) ? ' →' : ''}, ${sold} sold`
    return [
      `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${way}, ${clients}</text>`,
      `<rect x="${left}" y="${y}" width="${x(rate) - left}" height="17" fill="${sold > STOCK ? '#c44' : '#48a'}"/>`,
      `<text x="${right + 6}" y="${y + 13}">${label}</text>`,
    ].join('\n')
  })
  const height = 50 + results.length * row
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 ${height}" font-family="sans-serif" font-size="12">
<rect width="740" height="${height}" fill="white"/>
<text x="${left}" y="22" font-size="14">1000 orders for 100 pieces: way and clients, orders per second</text>
${bars.join('\n')}
<path d="M${x(bound)} 34 V${height - 10}" stroke="#222" stroke-dasharray="3 3"/>
</svg>
`
}
