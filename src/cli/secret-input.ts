import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { Interrupted } from './io.ts'

/**
 * A line that nobody should see: asked for on the terminal without showing what is typed, or standard input as a whole,
 * less the end of its last line.
 */
export async function readSecret(prompt: string): Promise<string> {
  return process.stdin.isTTY === true ? ask(prompt) : readAll()
}

/** Far more than any password. */
const BYTES_MAX = 64 * 1024

async function readAll(): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of process.stdin as AsyncIterable<Buffer>) {
    pieces.push(piece)
    bytes += piece.length
    if (bytes > BYTES_MAX) throw new Error(`standard input is longer than ${BYTES_MAX} bytes`)
  }
  return Buffer.concat(pieces)
    .toString('utf8')
    .replace(/\r?\n$/, '')
}

function ask(prompt: string): Promise<string> {
  process.stderr.write(prompt)
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true })
  return new Promise((resolve, reject) => {
    let typed: string | null = null
    lines.once('line', line => {
      typed = line
      lines.close()
    })
    lines.once('SIGINT', () => lines.close())
    lines.once('close', () => {
      process.stderr.write('\n')
      if (typed === null) reject(new Interrupted())
      else resolve(typed)
    })
  })
}
