/**
 * A process of a peer. What it says goes to a file, whose end is shown when it fails. None of them outlives the bench: they
 * are ended when it ends, in whatever way it can notice, and by the kernel where it cannot (`setpriv`, part of Debian).
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { ticksOf } from '../cluster/take-over.ts'
import { programPath } from './installed.ts'

const STOP_MS_MAX = 5_000
const TAIL_LINES = 12
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const running = new Set<PeerProcess>()

export interface PeerCommand {
  readonly title: string
  readonly command: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly logFile: string
  /** Those of this process unless said. */
  readonly env?: NodeJS.ProcessEnv
}

export class PeerProcess {
  readonly title: string
  readonly #child: ChildProcess
  readonly #logFile: string
  /** Settles when it is gone. */
  readonly ended: Promise<unknown>

  constructor({ title, command, args, cwd, logFile, env }: PeerCommand) {
    this.title = title
    this.#logFile = logFile
    const log = openSync(logFile, 'a')
    const tied = programPath('setpriv')
    const [first, ...rest] = tied === null ? [command, ...args] : [tied, '--pdeathsig', 'KILL', command, ...args]
    this.#child = spawn(first!, rest, { cwd, ...(env === undefined ? {} : { env }), stdio: ['ignore', log, log] })
    closeSync(log)
    this.ended = once(this.#child, 'exit').catch(() => {})
    this.#child.on('error', () => running.delete(this))
    this.#child.on('exit', () => running.delete(this))
    if (running.size === 0) watchOwnEnd()
    running.add(this)
  }

  get hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** Its exit status, or the signal that ended it; null while it runs. */
  get outcome(): number | NodeJS.Signals | null {
    return this.#child.exitCode ?? this.#child.signalCode
  }

  /** All threads, since it began. */
  cpuTicks(): number {
    return this.hasEnded ? 0 : ticksOf(this.#child.pid!)
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.hasEnded) this.#child.kill(signal)
  }

  async kill(): Promise<void> {
    if (this.hasEnded) return
    this.signal('SIGKILL')
    await this.ended
  }

  /** Asks it to end; after a moment it is killed. */
  async stop(): Promise<void> {
    if (this.hasEnded) return
    this.signal('SIGTERM')
    const late = setTimeout(() => this.signal('SIGKILL'), STOP_MS_MAX)
    await this.ended
    clearTimeout(late)
  }

  /** The end of what it has said. */
  tail(): string {
    const lines = readFileSync(this.#logFile, 'utf8').trimEnd().split('\n')
    return `${this.title}${this.hasEnded ? ' has ended' : ''}; its last words:\n${lines.slice(-TAIL_LINES).join('\n')}`
  }
}

let isWatching = false

function watchOwnEnd(): void {
  if (isWatching) return
  isWatching = true
  const killAll = (): void => {
    for (const one of running) one.signal('SIGKILL')
  }
  process.once('exit', killAll)
  for (const signal of ENDING_SIGNALS) {
    process.once(signal, () => {
      killAll()
      // Nobody listens any more, so that it ends this process as it would have.
      process.kill(process.pid, signal)
    })
  }
}
