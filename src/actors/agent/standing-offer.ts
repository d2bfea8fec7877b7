import { type Capacity, EXECUTOR_NAME } from '../../core/executor/agent-book.ts'
import { isOfferNews } from '../../core/executor/offer-change.ts'
import type { AgentToLeader } from '../../wire/messages/agent.ts'
import type { AgentActorOptions } from '../agent.ts'
import type { MachineOffer } from '../agent-ports.ts'
import type { AgentContext } from './agent-message.ts'

const LOOK_MS = 60_000

export interface StandingOfferParts {
  readonly options: AgentActorOptions
  readonly context: AgentContext
  /** To the leader, if it listens. */
  readonly send: (message: AgentToLeader) => void
}

/**
 * What this machine offers now, and whether the leader knows. HELLO says it; what changes after that is said once more
 * and repeated until it is acknowledged. Less than what is in use is no trouble: no task ends for it, nothing new comes.
 */
export class StandingOffer {
  private readonly parts: StandingOfferParts
  private offer: MachineOffer
  private draining: boolean
  private said = 0
  /** Null: the leader knows everything. */
  private unacknowledged: number | null = null

  constructor(parts: StandingOfferParts) {
    this.parts = parts
    this.offer = parts.options.offer()
    this.draining = parts.options.draining
    parts.context.startPeriodicTimer('offer', LOOK_MS, { type: 'lookAtMachine' })
  }

  get capacity(): Capacity {
    return { ...this.offer, draining: this.draining, executors: [EXECUTOR_NAME] }
  }

  look(): void {
    const offer = this.parts.options.offer()
    if (!isOfferNews(this.offer.resources, offer.resources)) return
    this.parts.context.log.info('agent-offer-changed', {
      was: JSON.stringify(this.offer.resources),
      is: JSON.stringify(offer.resources),
    })
    this.offer = offer
    this.tell()
  }

  /** No new tasks from here on. */
  drain(): void {
    if (this.draining) return
    this.draining = true
    this.tell()
  }

  /** HELLO carries all of it. */
  inHello(): Capacity {
    this.unacknowledged = null
    return this.capacity
  }

  acknowledged(n: number): void {
    if (n === this.unacknowledged) this.unacknowledged = null
  }

  /** With every heartbeat. */
  repeat(): void {
    if (this.unacknowledged !== null) this.say(this.unacknowledged)
  }

  private tell(): void {
    this.said += 1
    this.unacknowledged = this.said
    this.say(this.said)
  }

  private say(n: number): void {
    const { options, send } = this.parts
    const { revocableCpusMilli } = this.offer
    send({
      type: 'UPDATE_AGENT',
      n,
      resources: { ...this.offer.resources },
      portRanges: this.offer.portRanges.map(([from, to]): [number, number] => [from, to]),
      attributes: options.attributes.map(({ name, values }) => ({ name, values: [...values] })),
      draining: this.draining,
      ...(revocableCpusMilli === undefined ? {} : { revocableCpusMilli }),
    })
  }
}
