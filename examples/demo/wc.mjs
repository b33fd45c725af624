// The same with `wc`, to compare.
import { spawnSync } from 'node:child_process'

const AT_ONCE = 500 // paths that fit on a command line

/**
 * What a word is, as a pattern for the workers: a run of what is no white space. Before release 9.5, GNU's `wc` ignores
 * unprintable bytes, so that a dash of Unicode between spaces is no word in the C locale; hence it is asked.
 */
export const WORD = Number(wc(['-w'], Buffer.from([0x80]))) === 0 ? '[!-~]\\S*' : '\\S+'

function wc(args, input) {
  const { stdout, error } = spawnSync('wc', args, {
    input,
    env: { ...process.env, LC_ALL: 'C' },
    encoding: 'latin1',
    maxBuffer: 1 << 26,
  })
  if (error) throw new Error(`wc cannot be run, with which the counts are to be compared: ${error.message}`)
  return stdout
}

/** Lines, words and bytes of each file. */
export function countWithWc(paths) {
  if (paths.length > AT_ONCE)
    return [...countWithWc(paths.slice(0, AT_ONCE)), ...countWithWc(paths.slice(AT_ONCE))]
  return wc(['-lwc', '--', ...paths])
    .split('\n')
    .slice(0, paths.length) // after which comes the total
    .map((row) => {
      const [lines, words, bytes] = row.match(/\d+/g).map(Number)
      return { lines, words, bytes }
    })
}
