// Counts lines, words and bytes as `wc` does. This process holds the broker and sends each line as a task;
// Python workers, which attach to it by AMQP, count and answer.
//
//     node examples/demo/demo.mjs [FILE…]        by default, this project's own sources
import { EventEmitter, once } from 'node:events'
import { connect } from 'warrenmq'
import { batches, regular, sources } from './files.mjs'
import { showProgress, showTable } from './show.mjs'
import { countWithWc, WORD } from './wc.mjs'
import { Workers } from './workers.mjs'

const WORKERS = 2
const WINDOW = 20_000 // lines that may be on their way at once

const asked = process.argv.slice(2)
const { files, unusable } = await regular(asked.length > 0 ? asked : sources())
for (const reason of unusable) console.error(`demo: ${reason}`)
if (unusable.length > 0) process.exitCode = 1
if (files.length === 0) {
  console.error('demo: there is no file to count')
  process.exit(1)
}

const mq = await connect('inproc://demo')
const url = `amqp://${await mq.listen('127.0.0.1:0')}`
const tasks = await mq.queue('tasks')
const answers = await mq.queue('answers')
const workers = await Workers.start(WORKERS, url, WORD)
console.log(`${files.length === 1 ? '1 file' : `${files.length} files`}, ${WORKERS} Python workers on ${url}`)

const arrivals = new EventEmitter()
const waiting = new Map() // each task without an answer, and what is counted of its file
let sent = 0
let answered = 0
const receiving = answers.consume({ noAck: true }, (message) => {
  const [task, lines, words, bytes] = message.json()
  const counted = waiting.get(task)
  if (!waiting.delete(task)) return // answered twice: a worker died between its answer and its acknowledgement
  counted.lines += lines
  counted.words += words
  counted.bytes += bytes
  answered++
  arrivals.emit('answer')
})

function send(line, counted) {
  const task = sent++
  waiting.set(task, counted)
  return tasks.send(line, { correlationId: String(task) })
}

const start = performance.now()
const seconds = () => (performance.now() - start) / 1000
const progress = showProgress(files, () => ({ messages: sent + answered, seconds: seconds() }))
for (const { path, counted } of files) {
  for await (const lines of batches(path)) {
    await Promise.all(lines.map((line) => send(line, counted)))
    while (waiting.size > WINDOW) await once(arrivals, 'answer')
  }
}
while (waiting.size > 0) await once(arrivals, 'answer')
const took = seconds()
progress.stop()

await receiving.cancel()
await workers.stop()
await mq.close()

showTable(files)
const each = (number) => Math.round(number).toLocaleString('en')
const rate = each((sent + answered) / took)
console.log(
  `${each(sent)} tasks and ${each(answered)} answers in ${took.toFixed(2)} s: ${rate} messages per second`,
)

const different = countWithWc(files.map(({ path }) => path)).flatMap((wc, i) => {
  const { path, counted } = files[i]
  const same = wc.lines === counted.lines && wc.words === counted.words && wc.bytes === counted.bytes
  return same ? [] : `${path}: wc says ${wc.lines} ${wc.words} ${wc.bytes}`
})
if (different.length === 0) {
  console.log('the same as wc')
} else {
  console.error(`not the same as wc:\n${different.join('\n')}`)
  process.exitCode = 1
}
