/** A node without a log until it has one, and a formatted log until it votes: looks again whenever somebody around changes. */
import type { ClusterDescriptor } from '../../core/log/descriptor.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import { nextWhenFormatted, nextWithoutLog } from './first-start.ts'
import { isFormatted } from './log-folder.ts'
import type { LogNodeOptions } from './log-options.ts'
import type { LogWaiting } from './log-waiting.ts'
import type { Peers } from './peers.ts'

export interface LogBeginningPorts {
  readonly peers: Peers | null
  readonly waiting: LogWaiting
  readonly open: () => Promise<void>
  readonly admit: (descriptor: ClusterDescriptor) => void
  readonly onBroken: (cause: unknown) => void
}

/** How often an EMPTY node looks whether somebody has initialized its log. */
const EMPTY_CHECK_MS = 1_000

export class LogBeginning {
  readonly #options: LogNodeOptions
  readonly #ports: LogBeginningPorts
  #mayFormat = false
  #check: NodeJS.Timeout | null = null

  constructor(options: LogNodeOptions, ports: LogBeginningPorts) {
    this.#options = options
    this.#ports = ports
  }

  /** Whether the next opening is to make a log first. */
  takeFormat(): boolean {
    const mayFormat = this.#mayFormat
    this.#mayFormat = false
    return mayFormat
  }

  /** Nothing is formatted: waits until this node, or somebody, does it. */
  async empty(): Promise<void> {
    this.#check = setInterval(() => {
      if (!isFormatted(this.#options.path)) return
      this.stop()
      this.#ports.open().catch(this.#ports.onBroken)
    }, EMPTY_CHECK_MS).unref()
    await this.#considerFormat()
  }

  /** A peer has come, gone or changed; `meta` of the log that is open. */
  lookAround(meta: LogMeta | undefined): void {
    if (meta?.status === 'STARTING') this.formatted(meta)
    else if (meta === undefined && !isFormatted(this.#options.path)) {
      this.#considerFormat().catch(this.#ports.onBroken)
    } else this.#ports.waiting.lookSoon()
  }

  /** Open, and not voting yet. */
  formatted(meta: LogMeta): void {
    const { peers, waiting, admit } = this.#ports
    const step = nextWhenFormatted(meta, this.#options, peers)
    if (step.type === 'admit') admit(step.descriptor)
    else if (step.type === 'wait') waiting.waitFor(step.waitingFor)
  }

  stop(): void {
    if (this.#check !== null) clearInterval(this.#check)
    this.#check = null
  }

  async #considerFormat(): Promise<void> {
    const step = nextWithoutLog(this.#options, this.#ports.peers)
    if (step.type === 'wait') return this.#ports.waiting.waitFor(step.waitingFor)
    if (step.type !== 'format') return
    this.#mayFormat = true
    await this.#ports.open()
  }
}
