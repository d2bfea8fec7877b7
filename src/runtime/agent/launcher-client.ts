/**
 * The agent's end of its launcher: a queue of starts, of which one at a time is with the launcher. A launcher that dies
 * is replaced. What it had been given and had not answered was begun or was not: that is decided once nothing of it is
 * left that could still begin it.
 */
import type { Socket } from 'node:net'
import type { Logger } from '../../actors/ports.ts'
import { textOf } from '../../core/base/cause.ts'
import { type LaunchReport, messageLine, messageReader } from './launch-messages.ts'
import { type LauncherProcess, launcherMark, launchersGone, startLauncher } from './launcher-process.ts'
import type { RunCommand } from './run-command.ts'
import { SharedMoments } from './shared-moments.ts'

/** Who leads the session of a run. */
export interface Shim {
  readonly pid: number
  readonly startTicks: number
}

export interface Launch {
  readonly taskId: string
  readonly command: RunCommand
  /** Answers who is to be told of its end. Called before anything is said about the end. */
  begun(shim: Shim): (code: number | null) => void
  /** Its launcher has died and nothing of it is left. True: the run was begun, and is now taken care of. */
  wasBegun(): boolean
}

export interface LauncherParts {
  readonly work: string
  readonly log: Logger
  /** The launcher is gone: nobody tells the ends of runs that it had begun. */
  readonly orphaned: () => void
}

interface Waiting extends Launch {
  readonly resolve: () => void
  readonly reject: (cause: Error) => void
  /** Launchers that have died with it. */
  deaths: number
}

/** A launch that one launcher after the other dies with is given up. */
const DEATHS_MAX = 5
/** One that dies so soon after its start is not replaced at once. */
const SOON_MS = 1_000
const PAUSE_MS_MIN = 100
const PAUSE_MS_MAX = 5_000
/** A launcher that is asked to go and does not. */
const LEAVE_MS_MAX = 5_000

export class LauncherClient {
  private readonly parts: LauncherParts
  private readonly queue: Waiting[] = []
  /** With the launcher. */
  private out: Waiting | null = null
  private readonly ends = new Map<number, (code: number | null) => void>()
  private readonly moments = new SharedMoments()
  private mark = ''
  private child: LauncherProcess | null = null
  /** Until nothing is left of a launcher that has ended. */
  private ending: Promise<void> = Promise.resolve()
  private lastId = 0
  private quickDeaths = 0
  private closed = false

  constructor(parts: LauncherParts) {
    this.parts = parts
  }

  /** Once launchers of an earlier agent are gone; until then what they do is not known. */
  async open(): Promise<void> {
    this.mark = launcherMark(this.parts.work)
    await launchersGone(this.mark, this.parts.log)
    this.startProcess()
  }

  /** Rejects when nothing was started, with the reason. */
  launch(launch: Launch): Promise<void> {
    return new Promise((resolve, reject) => {
      this.queue.push({ ...launch, resolve, reject, deaths: 0 })
      this.sendNext()
    })
  }

  /** What waits in the queue for this task is not started any more. */
  cancel(taskId: string): void {
    this.refuse(waiting => waiting.taskId === taskId, 'the task is being ended')
  }

  /** What is with the launcher is answered first; nothing of the launcher is left afterwards. */
  async close(): Promise<void> {
    this.closed = true
    this.moments.tellAll()
    this.refuse(() => true, 'the agent stops')
    const { child } = this
    if (child === null) return this.ending
    child.ref()
    const gone = new Promise(resolve => child.once('close', resolve))
    const late = setTimeout(() => child.kill('SIGKILL'), LEAVE_MS_MAX)
    child.stdin.end()
    await gone
    clearTimeout(late)
  }

  private refuse(which: (waiting: Waiting) => boolean, text: string): void {
    const refused = this.queue.filter(which)
    this.queue.splice(0, this.queue.length, ...this.queue.filter(waiting => !which(waiting)))
    for (const { reject } of refused) reject(new Error(text))
  }

  private sendNext(): void {
    const { child } = this
    if (child === null || this.out !== null || this.closed) return
    const next = this.queue.shift()
    if (next === undefined) return
    this.out = next
    this.lastId += 1
    child.stdin.write(messageLine({ ...next.command, id: this.lastId, isAgain: next.deaths > 0 }))
  }

  private hear(report: LaunchReport): void {
    if (report.type === 'ended') {
      const end = this.ends.get(report.id)
      this.ends.delete(report.id)
      if (end !== undefined) this.moments.add(() => end(report.code))
      return
    }
    const { out } = this
    if (out === null || report.id !== this.lastId) return
    this.out = null
    this.quickDeaths = 0
    if (report.type === 'begun') {
      const { pid, startTicks } = report
      this.ends.set(report.id, out.begun({ pid, startTicks }))
      this.moments.add(out.resolve)
    } else out.reject(new Error(report.text))
    this.sendNext()
  }

  private startProcess(): void {
    if (this.closed) return
    const bornMs = performance.now()
    let failure: unknown = null
    let child: LauncherProcess
    try {
      child = startLauncher(this.mark, this.parts.work)
    } catch (cause) {
      this.died(bornMs, { cause: textOf(cause) })
      return
    }
    this.child = child
    child.once('error', cause => {
      failure = cause
    })
    // After everything that it had said was read.
    child.once('close', (status, signal) => {
      this.child = null
      if (this.closed) return this.out?.reject(new Error('the agent stops'))
      this.died(bornMs, failure === null ? { pid: child.pid, status, signal } : { cause: textOf(failure) })
    })
    child.stdin.on('error', () => {}) // it has died, and `close` says so
    child.stdout.setEncoding('utf8').on(
      'data',
      messageReader<LaunchReport>(report => this.hear(report)),
    )
    child.unref()
    for (const pipe of [child.stdin, child.stdout] as Socket[]) pipe.unref()
    this.sendNext()
  }

  private died(bornMs: number, why: Readonly<Record<string, unknown>>): void {
    const { log, orphaned } = this.parts
    log.warn('agent-launcher-ended', { ...why, runs: this.ends.size })
    this.moments.tellAll()
    this.ends.clear()
    orphaned()
    this.quickDeaths = performance.now() - bornMs < SOON_MS ? this.quickDeaths + 1 : 0
    const pauseMs = this.quickDeaths === 0 ? 0 : Math.min(PAUSE_MS_MIN * 2 ** (this.quickDeaths - 1), PAUSE_MS_MAX)
    this.ending = launchersGone(this.mark, log).then(() => {
      this.settleHead()
      if (pauseMs === 0) this.startProcess()
      else setTimeout(() => this.startProcess(), pauseMs).unref()
    })
  }

  /** What the launcher that is gone had, or would have had next: it was begun, or is for the launcher that follows. */
  private settleHead(): void {
    const { out } = this
    this.out = null
    if (out?.wasBegun() === true) return out.resolve()
    const waiting = out ?? this.queue.shift()
    if (waiting === undefined) return
    waiting.deaths += 1
    if (this.closed) waiting.reject(new Error('the agent stops'))
    else if (waiting.deaths < DEATHS_MAX) this.queue.unshift(waiting)
    else
      waiting.reject(
        new Error(
          `the launcher has ended ${DEATHS_MAX} times before it could answer; why it ends is in the agent's log (agent-launcher-ended)`,
        ),
      )
  }
}
