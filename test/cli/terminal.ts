import { readFile } from 'node:fs/promises'
import { CLIENT_EXIT } from '../../src/cli/exit-status.ts'
import { httpSend, httpStream } from '../../src/cli/http-request.ts'
import { Interrupted, type Io } from '../../src/cli/io.ts'
import { readJobModule } from '../../src/cli/job-module.ts'
import { run } from '../../src/cli/main.ts'
import { runProgram } from '../../src/cli/run-program.ts'
import { type FakeScheduler, START_MS } from './fake-scheduler.ts'

/** One command line on a made-up terminal, whose clock moves only when the command sleeps. */
export interface Ran {
  readonly exit: number
  readonly out: string
  readonly err: string
  /** ms that the command slept in all. */
  readonly sleptMs: number
  json<T>(): T
}

export interface TerminalOptions {
  readonly env?: Record<string, string>
  readonly columns?: number
  readonly files?: Record<string, string>
  /** What is typed when a password is asked for, in turn; without, standard input is a pipe with `piped` in it. */
  readonly typed?: readonly string[]
  readonly piped?: string
  /** Called at each sleep, before the scheduler's step. */
  readonly onSleep?: (nowMs: number, sleeps: number) => void
  /** How long a job file that is a program may run. */
  readonly moduleMs?: number
  /** Ctrl-C at this sleep. */
  readonly interruptAt?: number
}

/** Over all command lines of a test file, as request ids are unique in the world. */
let requests = 0

export async function daybreak(
  line: string,
  scheduler: FakeScheduler | null,
  options: TerminalOptions = {},
): Promise<Ran> {
  const out: Uint8Array[] = []
  const err: string[] = []
  let nowMs = START_MS
  let sleeps = 0
  const typed = [...(options.typed ?? [])]
  const interrupt = new AbortController()
  const readText = async (path: string): Promise<string> => {
    const text = options.files?.[path]
    if (text !== undefined) return text
    if (path.startsWith('/home/ann/')) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
    return readFile(path, 'utf8')
  }
  const terminal = { isTTY: options.columns !== undefined, columns: options.columns }
  const io: Io = {
    env: { NO_COLOR: '1', ...(scheduler === null ? {} : { DAYBREAK_URL: scheduler.url }), ...options.env },
    stdout: { write: data => out.push(typeof data === 'string' ? Buffer.from(data) : data), ...terminal },
    stderr: { write: data => err.push(String(data)), isTTY: false, columns: undefined },
    stdin: { isTTY: options.typed !== undefined },
    readSecret: async () => typed.shift() ?? options.piped ?? '',
    http: httpSend,
    httpStream,
    now: () => nowMs,
    sleep: async ms => {
      nowMs += ms
      sleeps += 1
      if (sleeps > 10_000) throw new Error('the command sleeps for ever')
      if (sleeps === options.interruptAt) {
        interrupt.abort()
        throw new Interrupted()
      }
      options.onSleep?.(nowMs, sleeps)
      scheduler?.step(nowMs)
    },
    readText,
    readPrivate: readText,
    readModule: (path, question) =>
      readJobModule(path, question, { limitMs: options.moduleMs ?? 60_000, print: text => void err.push(text) }),
    runProgram: program => runProgram(program, { ...process.env, ...options.env }, interrupt.signal),
    newRequestId: () => `request-${++requests}`,
    user: 'ann',
    home: '/home/ann',
    interrupted: interrupt.signal,
  }
  const exit = await run(line.match(/'[^']*'|\S+/g)?.map(word => word.replaceAll("'", '')) ?? [], io)
  const text = Buffer.concat(out).toString()
  return { exit, out: text, err: err.join(''), sleptMs: nowMs - START_MS, json: () => JSON.parse(text) }
}

export { CLIENT_EXIT }
