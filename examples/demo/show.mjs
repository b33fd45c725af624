// What is shown while it works, and at the end.

const number = (value) => Math.round(value).toLocaleString('en')

/** Tells now and then how far it is: in one line that is written anew on a terminal, else in plain lines. */
export function showProgress(files, now) {
  const terminal = process.stderr.isTTY
  const size = files.reduce((sum, file) => sum + file.size, 0)
  const tell = () => {
    const bytes = files.reduce((sum, { counted }) => sum + counted.bytes, 0)
    const { messages, seconds } = now()
    const line = `${Math.floor((100 * bytes) / size)}% counted, ${number(messages / seconds)} messages per second`
    process.stderr.write(terminal ? `\r\x1b[K${line}` : `${line}\n`)
  }
  const timer = setInterval(tell, terminal ? 100 : 2000)
  return {
    stop() {
      clearInterval(timer)
      if (terminal) process.stderr.write('\r\x1b[K')
    },
  }
}

/** A row for each file, and one for all. */
export function showTable(files) {
  const total = { lines: 0, words: 0, bytes: 0 }
  for (const { counted } of files) for (const what in total) total[what] += counted[what]
  const widths = Object.values(total).map((value) => Math.max(5, String(value).length))
  const row = (values, name) =>
    console.log(...values.map((value, i) => String(value).padStart(widths[i])), ` ${name}`)
  row(Object.keys(total), 'file')
  for (const { path, counted } of files) row(Object.values(counted), path)
  row(Object.values(total), 'total')
}
