/** What this node waits for and from whom, to begin or for a quorum, and the lines in which it says so. */
import type { Logger } from '../../actors/ports.ts'
import { seenBy } from './first-start.ts'
import type { LogNodeOptions } from './log-options.ts'
import type { Peers } from './peers.ts'
import { WAITING_LINE_MS, WaitingVoice } from './waiting-voice.ts'

export interface LogWaitingPorts {
  readonly log: Logger
  readonly peers: Peers | null
  /** Whether the log is open, was and will be again, or has never been. */
  readonly stage: () => 'open' | 'closed' | 'empty'
  readonly hasLeader: () => boolean
}

export class LogWaiting {
  readonly #options: LogNodeOptions
  readonly #ports: LogWaitingPorts
  readonly #voice = new WaitingVoice(
    () => this.what(),
    text => this.#say(text),
  )
  #for: string | null = null
  #lines: NodeJS.Timeout | null = null

  constructor(options: LogNodeOptions, ports: LogWaitingPorts) {
    this.#options = options
    this.#ports = ports
  }

  start(): void {
    this.#lines = setInterval(() => this.#voice.speak(), WAITING_LINE_MS).unref()
    if (this.#ports.peers !== null) this.#voice.holdBack()
  }

  what(): string | null {
    if (this.#for !== null || this.#ports.stage() !== 'open' || this.#ports.hasLeader()) return this.#for
    const { peers } = this.#ports
    return peers?.disksLost() ?? peers?.quorumFault() ?? null
  }

  waitFor(text: string): void {
    this.#for = text
    this.#voice.speak()
  }

  over(): void {
    this.#for = null
  }

  /** Something around has changed. */
  lookSoon(): void {
    this.#voice.speakSoon()
  }

  stop(): void {
    if (this.#lines !== null) clearInterval(this.#lines)
    this.#voice.stop()
  }

  #say(text: string): void {
    const { log, peers } = this.#ports
    if (text === peers?.disksLost()) return log.error('log-disks-lost', { waitingFor: text })
    if (this.#ports.stage() !== 'empty') return log.warn('log-waits', { waitingFor: text })
    const { configFile, memberId } = this.#options
    log.warn('Replica in EMPTY status received a broadcasted recover request', {
      waitingFor: text,
      // Never where it would make a second cluster of a disk that was lost.
      ...(peers?.hasData ? {} : { run: `daybreak log initialize ${configFile}` }),
      seen: [
        `member ${memberId} (this node)`,
        ...seenBy(peers).map(member => `member ${member.memberId} ${member.status}`),
      ],
    })
  }
}
