/** Who leads, as this node shows it to everybody else: a view with a version of its own for each change, and since when. */
import type { LeaderView } from '../../actors/ports.ts'
import { NO_BALLOT, sameBallot } from '../../core/log/ballot.ts'
import type { ElectionView } from '../../core/log/election-core.ts'
import type { Entry } from '../../core/log/entry.ts'

export interface LeaderViewsPorts {
  /** Where clients reach that member; empty while it is not known. */
  readonly httpUrlOf: (memberId: number) => string
  readonly onView: (view: LeaderView) => void
}

/** How long a stopping leader waits until it has let go. */
const HAND_OVER_MS_MAX = 300

export class LeaderViews {
  readonly #ports: LeaderViewsPorts
  #view: LeaderView = { version: 0, role: 'NONE', ballot: null, leader: null }
  #leaderSinceMs = 0
  #onLetGo: (() => void) | null = null

  constructor(ports: LeaderViewsPorts) {
    this.#ports = ports
  }

  get last(): LeaderView {
    return this.#view
  }
  get isLeading(): boolean {
    return this.#view.role === 'LEADER'
  }
  get leaderSinceMs(): number | null {
    return this.#view.leader === null ? null : this.#leaderSinceMs
  }

  /** A follower's feed: what other leaders have written. Of the own appends their results tell. */
  ofOthers(entries: readonly Entry[]): readonly Entry[] {
    const { role, ballot } = this.#view
    if (role === 'LEADER') return []
    return entries.filter(entry => ballot === null || !sameBallot(entry.ballot, ballot) || role === 'FOLLOWER')
  }

  elected({ role, ballot, leaderId }: ElectionView): void {
    const leader = leaderId === null ? null : { memberId: leaderId, httpUrl: this.#ports.httpUrlOf(leaderId) }
    this.#show({ role, ballot, leader })
  }

  /** The log is closed: nothing is known of anybody. */
  nobody(): void {
    this.#show({ role: 'NONE', ballot: null, leader: null })
  }

  /** Of peers it is known from their handshake, which may come later than their first word as leader. */
  lookForUrl(): void {
    const { leader } = this.#view
    if (leader === null) return
    const httpUrl = this.#ports.httpUrlOf(leader.memberId)
    if (httpUrl !== leader.httpUrl && httpUrl !== '') this.#show({ ...this.#view, leader: { ...leader, httpUrl } })
  }

  /** Until this node leads no longer after `ask`, though not for long. */
  letGo(ask: () => void): Promise<void> {
    if (!this.isLeading) return Promise.resolve()
    return new Promise(resolve => {
      const late = setTimeout(resolve, HAND_OVER_MS_MAX)
      this.#onLetGo = () => {
        clearTimeout(late)
        resolve()
      }
      ask()
    })
  }

  #show(change: Omit<LeaderView, 'version'>): void {
    const { ballot, version } = this.#view
    const isNewReign = change.ballot === null || !sameBallot(change.ballot, ballot ?? NO_BALLOT)
    if (isNewReign) this.#leaderSinceMs = Date.now()
    this.#view = { ...change, version: version + 1 }
    if (!this.isLeading) this.#onLetGo?.()
    this.#ports.onView(this.#view)
  }
}
