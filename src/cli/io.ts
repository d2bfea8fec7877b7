import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import type { Fault } from '../core/base/rejection.ts'
import type { JobFileQuestion } from '../core/job/job-file-shape.ts'
import { type HttpAnswer, type HttpQuestion, type HttpStream, httpSend, httpStream } from './http-request.ts'
import type { JobModule } from './job-module.ts'
import type { Program, ProgramEnd } from './run-program.ts'

/** Everything a command touches outside itself, so that a test can hand in its own terminal, clock and network. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: Output
  readonly stderr: Output
  readonly stdin: { readonly isTTY: boolean }
  http(question: HttpQuestion): Promise<HttpAnswer>
  /** For answers that have no end of their own. */
  httpStream(question: HttpQuestion): Promise<HttpStream>
  /** ms since the epoch. */
  now(): number
  /** Ends early, with an `Interrupted`, when the user presses Ctrl-C. */
  sleep(ms: number): Promise<void>
  /** The whole file, a pipe too; fails on one that is larger than any job file. */
  readText(path: string): Promise<string>
  /** The same of a file that nobody but its owner may read; fails when others may. */
  readPrivate(path: string): Promise<string>
  /** A password: from the terminal without showing it, or from standard input. */
  readSecret(prompt: string): Promise<string>
  /** Runs a job file that is a program. */
  readModule(path: string, question: JobFileQuestion): Promise<JobModule>
  /** Runs another program of the user's, such as ssh, found on the PATH. */
  runProgram(program: Program): Promise<ProgramEnd>
  newRequestId(): string
  readonly user: string
  readonly home: string
  /** Aborted by Ctrl-C. */
  readonly interrupted: AbortSignal
}

export interface Output {
  write(data: string | Uint8Array): unknown
  readonly isTTY: boolean
  /** Of the terminal; undefined when there is none. */
  readonly columns: number | undefined
}

/** How a command ends when it does not succeed: an exit status, and what to show. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure'
  readonly exit: number
  readonly code: string | undefined
  readonly remedy: string | undefined
  readonly faults: readonly Fault[]

  constructor(
    /** One of CLIENT_EXIT, or the status of a hook that said no. */
    exit: number,
    text: string,
    more: { code?: string; remedy?: string; faults?: readonly Fault[]; cause?: unknown } = {},
  ) {
    super(text, { cause: more.cause })
    this.exit = exit
    this.code = more.code
    this.remedy = more.remedy
    this.faults = more.faults ?? []
  }
}

export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** The process's own. */
export function processIo(interrupted: AbortSignal): Io {
  return {
    ...processFiles(),
    stdout: {
      write: data => process.stdout.write(data),
      isTTY: process.stdout.isTTY === true,
      columns: process.stdout.columns,
    },
    stderr: {
      write: data => process.stderr.write(data),
      isTTY: process.stderr.isTTY === true,
      columns: process.stderr.columns,
    },
    stdin: { isTTY: process.stdin.isTTY === true },
    http: httpSend,
    httpStream,
    now: Date.now,
    sleep: ms => sleepFor(ms, interrupted),
    readSecret: async prompt => (await import('./secret-input.ts')).readSecret(prompt),
    readModule: async (path, question) =>
      (await import('./job-module.ts')).readJobModule(path, question, {
        interrupted,
        // Standard output is for what the command says.
        print: text => void process.stderr.write(text),
      }),
    runProgram: async program => (await import('./run-program.ts')).runProgram(program, process.env, interrupted),
    newRequestId: randomUUID,
    user: accountName(),
    interrupted,
  }
}

/** What of the process's own the parts of a node use too. */
export function processFiles(): Pick<Io, 'env' | 'home' | 'readText' | 'readPrivate'> {
  return { env: process.env, home: homedir(), readText: path => readText(path), readPrivate }
}

/** Far more than any job file; a scheduler takes requests up to 4 MiB. */
const TEXT_BYTES_MAX = 4 * 1_048_576

async function readText(path: string): Promise<string> {
  const pieces: Buffer[] = []
  let bytes = 0
  for await (const piece of createReadStream(path)) {
    pieces.push(piece as Buffer)
    bytes += (piece as Buffer).length
    if (bytes > TEXT_BYTES_MAX) throw new Error(`it is larger than ${TEXT_BYTES_MAX / 1_048_576} MiB`)
  }
  return Buffer.concat(pieces).toString('utf8')
}

const OTHERS = 0o077

async function readPrivate(path: string): Promise<string> {
  if (((await stat(path)).mode & OTHERS) !== 0) throw new Error('others than its owner may use it')
  return readText(path)
}

/** Why a file could not be read, in words. */
export function unreadable(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOENT') return 'there is no such file'
  if (code === 'EISDIR') return 'it is a folder, not a file'
  return code === 'EACCES' ? 'you may not read it' : message
}

function sleepFor(ms: number, interrupted: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (interrupted.aborted) return reject(new Interrupted())
    const stop = (): void => {
      clearTimeout(timer)
      reject(new Interrupted())
    }
    const timer = setTimeout(() => {
      interrupted.removeEventListener('abort', stop)
      resolve()
    }, ms)
    interrupted.addEventListener('abort', stop, { once: true })
  })
}

/** A uid without an entry in the password file has no name; containers are often so. */
function accountName(): string {
  try {
    return userInfo().username
  } catch {
    return process.env.USER ?? `uid-${process.getuid?.() ?? 'unknown'}`
  }
}
