/**
 * A hand-over of leadership that somebody asked this node for, from the question until another member leads: the
 * coordinator says whether it lets go, and the log itself shows who leads then, by the LEADER entry of a later ballot that
 * is committed and applied here. A new leader says so at once, so the time that is told is that of the pause but for some
 * milliseconds; if that word is lost, the next heartbeat tells. One at a time; it always ends, whatever happens to the
 * other members.
 */
import type { LeaderView, TransferOutcome } from '../../actors/ports.ts'
import { type Ballot, compareBallots } from '../../core/log/ballot.ts'
import type { TransferAnswer } from '../../core/log/succession.ts'

export interface TransferPorts {
  readonly memberId: number
  /** To the coordinator; false: it could not be told. */
  readonly tell: (to: number | null) => boolean
  readonly leaseMs: number
}

interface Asked {
  readonly resolve: (outcome: TransferOutcome) => void
  readonly sinceMs: number
  released: { readonly successor: number; readonly ballot: Ballot } | null
  late: NodeJS.Timeout | null
}

/** How long a released successor may take until it serves, beside the two leases that an election may need. */
const TAKE_OVER_MS_MAX = 3_000
const SEE = 'see who leads with `daybreak cluster status`'

export class LeadershipTransfer {
  readonly #ports: TransferPorts
  #asked: Asked | null = null

  constructor(ports: TransferPorts) {
    this.#ports = ports
  }

  /** `to` null: whoever holds most. */
  ask(to: number | null): Promise<TransferOutcome> {
    if (this.#asked !== null) {
      const detail = 'another hand-over that was asked for is under way'
      return Promise.resolve({ type: 'refused', why: 'notNow', detail, remedy: SEE })
    }
    return new Promise(resolve => {
      this.#asked = { resolve, sinceMs: performance.now(), released: null, late: null }
      if (this.#ports.tell(to)) return
      const detail = 'the log of this node is not open, or has more to do than it can take in'
      this.#end({ type: 'refused', why: 'notNow', detail, remedy: 'ask again in a moment' })
    })
  }

  /** What the coordinator says to it. */
  answered(answer: TransferAnswer): void {
    const asked = this.#asked
    if (asked === null) return
    if (answer.type === 'refused') return this.#end(answer)
    if (answer.type === 'already') return this.#end({ type: 'already', memberId: this.#ports.memberId })
    asked.released = answer
    const { successor } = answer
    const takeOverMsMax = 2 * this.#ports.leaseMs + TAKE_OVER_MS_MAX
    asked.late = setTimeout(() => {
      const detail = `leadership was released to member ${successor}, but nobody was seen to lead within ${takeOverMsMax} ms`
      this.#end({ type: 'unknown', detail, remedy: SEE })
    }, takeOverMsMax)
    asked.late.unref()
  }

  /** The LEADER entry of this ballot is committed and applied here. */
  took(ballot: Ballot): void {
    const asked = this.#asked
    if (asked?.released == null || compareBallots(ballot, asked.released.ballot) <= 0) return
    const memberId = ballot[1]
    const { successor } = asked.released
    if (memberId !== this.#ports.memberId) {
      return this.#end({ type: 'moved', memberId, tookMs: Math.round(performance.now() - asked.sinceMs) })
    }
    const detail = `member ${successor} did not take over in time: this node was elected again`
    const remedy = `look at member ${successor} with \`daybreak cluster status\`, then ask again, or choose another`
    this.#end({ type: 'refused', why: 'notNow', detail, remedy })
  }

  /** The log is closed: who leads next is not seen here any more. */
  closed(): void {
    this.#end({ type: 'unknown', detail: 'this node closed its log before another was seen to lead', remedy: SEE })
  }

  #end(outcome: TransferOutcome): void {
    const asked = this.#asked
    this.#asked = null
    if (asked?.late != null) clearTimeout(asked.late)
    asked?.resolve(outcome)
  }
}

/** `waitsFor`: what the log of this node waits for, if for anything. */
export function notLeading({ leader }: LeaderView, waitsFor: string | null): TransferOutcome {
  const detail = leader === null ? 'nobody is known to lead' : 'this node does not lead'
  const remedy = waitsFor === null ? SEE : `its log waits for ${waitsFor}`
  return { type: 'refused', why: 'notLeader', detail, remedy }
}
