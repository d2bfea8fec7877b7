import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { createInterface, type Interface } from 'node:readline'
import { Interrupted } from './io.ts'

/** Another program, run without a shell: its arguments are taken as they are. */
export interface Program {
  readonly name: string
  readonly args: readonly string[]
  /**
   * `terminal`: it has the user's own. `none`: it reads and writes nothing, and what it starts may live on. `line`: it
   * reads `input` or nothing, and what it writes comes line by line.
   */
  readonly stdio: 'terminal' | 'none' | { readonly line: (text: string, stream: 'stdout' | 'stderr') => void }
  /** What it reads instead of nothing. */
  readonly input?: string
  /** Beside the environment of this process. */
  readonly env?: Readonly<Record<string, string>>
  /** Told as soon as it runs. */
  readonly started?: (pid: number) => void
}

export interface ProgramEnd {
  /** Of a program that a signal ended: 128 and its number, as shells have it. */
  readonly status: number
}

/** How long after its end what a program wrote is waited for, ms. */
const LINGER_MS = 1_000

/** Rejects when the program cannot be run at all (`ENOENT`: there is none of that name), and with `Interrupted`. */
export function runProgram(
  { name, args, stdio, input, env = {}, started }: Program,
  environment: Readonly<Record<string, string | undefined>>,
  interrupted: AbortSignal,
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    if (interrupted.aborted) return reject(new Interrupted())
    const owns = stdio === 'terminal'
    const isMute = stdio === 'none'
    const child = spawn(name, [...args], {
      env: { ...environment, ...env },
      stdio: owns ? 'inherit' : isMute ? 'ignore' : [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    })
    // The terminal sends Ctrl-C to whoever has it; what an interactive program makes of it is its own affair.
    const stop = (): void => void (owns || child.kill('SIGTERM'))
    interrupted.addEventListener('abort', stop, { once: true })
    child.once('spawn', () => started?.(child.pid as number))
    const readers: Interface[] = []
    const read = owns || isMute ? [] : [linesOf(child.stdout, 'stdout'), linesOf(child.stderr, 'stderr')]
    let linger: NodeJS.Timeout | undefined
    // What it has left running may hold its output open for ever: a daemon, or the master of ssh's ControlPersist.
    child.once('exit', () => {
      linger = setTimeout(() => {
        for (const lines of readers) lines.close()
        child.stdout?.destroy()
        child.stderr?.destroy()
      }, LINGER_MS)
    })
    // A program may end without reading what it was given.
    child.stdin?.on('error', () => {})
    child.stdin?.end(input)
    child.once('error', cause => {
      interrupted.removeEventListener('abort', stop)
      reject(cause)
    })
    child.once('close', (status, signal) => {
      interrupted.removeEventListener('abort', stop)
      clearTimeout(linger)
      void Promise.all(read).then(() => {
        if (interrupted.aborted && !owns) return reject(new Interrupted())
        resolve({ status: status ?? 128 + (signal === null ? 0 : constants.signals[signal]) })
      })
    })

    function linesOf(from: NodeJS.ReadableStream | null, stream: 'stdout' | 'stderr'): Promise<void> {
      if (from === null || typeof stdio === 'string') return Promise.resolve()
      const lines = createInterface({ input: from, crlfDelay: Number.POSITIVE_INFINITY })
      readers.push(lines)
      lines.on('line', text => stdio.line(text, stream))
      return new Promise(done => lines.once('close', () => done()))
    }
  })
}
