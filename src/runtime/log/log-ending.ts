/** With what the process of a log ends, why a log is not opened, and what is left behind for the next start. */
import { RowsDiverged, StoreFailed, StoreFull } from '../../actors/log-ports.ts'
import type { Logger } from '../../actors/ports.ts'
import { type Doubt, doubtRefusal, doubtRemedy } from '../../core/log/doubt.ts'
import type { OpeningTrouble } from '../../core/log/opening.ts'
import { EXIT } from '../exit.ts'
import { isDiskFailure, storeTrouble } from './lmdb-trouble.ts'
import { markNeedsVerify, needsVerify, refuseMemberFaults } from './log-folder.ts'
import type { LogNodeOptions } from './log-options.ts'
import { LogLacks, LogRefused } from './log-refused.ts'

export interface LogEndingPorts {
  readonly log: Logger
  /** Before anybody is told: nothing may be begun any more. */
  readonly onEnd: () => void
  readonly onDeath: (status: number, reason: string) => void
  /** There are others who may have what is missing here. */
  readonly hasOthers: () => boolean
}

export class LogEnding {
  readonly #options: LogNodeOptions
  readonly #ports: LogEndingPorts
  #isOver = false

  constructor(options: LogNodeOptions, ports: LogEndingPorts) {
    this.#options = options
    this.#ports = ports
  }

  /** The process ends, as planned or not; what happens from here on is told to nobody. */
  get isOver(): boolean {
    return this.#isOver
  }

  planned(): void {
    this.#isOver = true
  }

  die(status: number, reason: string): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ports.onEnd()
    this.#ports.log.error('log-died', { reason })
    this.#ports.onDeath(status, reason)
  }

  /** The next start must not go on as if nothing had been: its operator decides. Also when this one ends as planned. */
  inDoubt(doubt: Doubt): void {
    try {
      markNeedsVerify(this.#options.path, doubt)
    } finally {
      this.die(EXIT.store, `${doubt.reason}. ${doubtRemedy(doubt, this.#options)}`)
    }
  }

  /** Of the stores that are open. */
  storeFailed(cause: unknown): void {
    this.inDoubt({ kind: cause instanceof RowsDiverged ? 'rows' : 'disk', reason: messageOf(cause) })
  }

  /** Of an opening or a closing that cannot be tried again. */
  broken(cause: unknown): void {
    if (isFailedDisk(cause)) this.inDoubt({ kind: 'disk', reason: cause.message })
    else this.die(EXIT.store, messageOf(cause))
  }

  /** Throws LogRefused when a start is no use. */
  refuseStart(): void {
    refuseMemberFaults(this.#options)
    const doubt = needsVerify(this.#options.path)
    if (doubt !== null) throw new LogRefused(doubtRefusal(doubt, this.#options))
  }

  /** In words for the operator, when a first opening failed. */
  refusalOf(cause: unknown): unknown {
    const { path } = this.#options
    if (cause instanceof StoreFull) {
      return new LogRefused(`The log at ${path} cannot be opened: ${cause.message}. Free some space there`)
    }
    if (!isFailedDisk(cause)) return cause
    const doubt = { kind: 'disk', reason: cause.message } as const
    markNeedsVerify(path, doubt)
    return new LogRefused(`The log at ${path} cannot be opened: ${cause.message}. ${doubtRemedy(doubt, this.#options)}`)
  }

  /** `what` as in "opening it". */
  async troubleOf(cause: unknown, what: string): Promise<{ readonly why: OpeningTrouble; readonly cause: unknown }> {
    if (cause instanceof LogLacks && this.#ports.hasOthers()) return { why: 'lacks', cause }
    const trouble = await storeTrouble(cause, this.#options.path, what)
    if (trouble instanceof StoreFull) return { why: 'full', cause: trouble }
    return { why: 'broken', cause: isFailedDisk(trouble) ? trouble : cause }
  }
}

function isFailedDisk(cause: unknown): cause is StoreFailed {
  return cause instanceof StoreFailed && isDiskFailure(cause)
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}
