/** One run of the log: a whole cluster through bad days, then with a quorum healed for good, and clients all the while. */
import { Clients } from './clients.ts'
import { Cluster, type Failure, PROBE_MS, RECOVERY_LEASES_MAX, randomStreams, shownNode } from './cluster.ts'
import { LeaderStates } from './leader-state.ts'
import type { Process } from './node.ts'
import type { Oracle } from './oracle.ts'
import { drawPlan, type Plan, type PlanOptions } from './plan.ts'
import { holds } from './violation.ts'

export interface RunOptions extends PlanOptions {
  /** Told one line per event. */
  readonly trace?: ((line: string) => void) | undefined
}

export interface RunResult {
  readonly seed: number
  readonly plan: Plan
  readonly failure: Failure | null
  readonly simulatedMs: number
  readonly turns: number
  readonly committed: number
  readonly leaders: number
  /** From the healing of a quorum to the first append that was begun and acknowledged after it. */
  readonly recoveredMs: number | null
  readonly faults: ReadonlyMap<string, number>
  readonly calls: Clients['counts']
  readonly upkeep: Oracle['counts']
  /** Eight hex digits over everything that ran. */
  readonly traceHash: string
}

export function simulate(seed: number, options: RunOptions = {}): RunResult {
  return new Simulation(seed, options).run()
}

export class Simulation extends Cluster<LeaderStates> {
  readonly clients: Clients

  constructor(seed: number, options: RunOptions = {}, plan?: Plan) {
    const random = randomStreams(seed)
    super({ plan: plan ?? drawPlan(seed, random(1), options), random, trace: options.trace })
    this.clients = new Clients(this.plan, this.queue, random(7), this.nodes)
    this.start()
  }

  makeScheduler(process: Process<LeaderStates>): LeaderStates {
    return new LeaderStates(process)
  }

  run(): RunResult {
    let failure: Failure | null = null
    let recoveredMs: number | null = null
    try {
      this.advance(this.plan.minutes * 60_000)
      recoveredMs = this.recover()
      this.converge()
      this.clients.checkAll()
    } catch (error) {
      failure = this.failureOf(error)
    }
    return {
      seed: this.plan.seed,
      plan: this.plan,
      failure,
      simulatedMs: this.queue.nowMs,
      turns: this.turns,
      committed: this.oracle.committed,
      leaders: this.oracle.leadersSeen,
      recoveredMs,
      faults: new Map([...this.faults.counts, ...Object.entries(this.network.counts)]),
      calls: this.clients.counts,
      upkeep: this.oracle.counts,
      traceHash: this.traceHash,
    }
  }

  /** Heals a quorum for good and waits until it works. Answers how long that took. */
  recover(): number {
    const { plan, queue } = this
    const well = this.healQuorum()
    const healedMs = queue.nowMs
    const limitMs = RECOVERY_LEASES_MAX * plan.timing.leaseMs
    let acknowledged = false
    for (let probe = 0; !acknowledged; probe++) {
      holds(
        queue.nowMs - healedMs <= limitMs,
        'a healed quorum elects a leader that commits, within 20 leases',
        () => `well are ${well.map(({ id }) => id).join()}; ${this.nodes.map(shownNode).join('; ')}`,
      )
      for (const node of this.nodes) {
        node.process?.scheduler.leader?.write('register', `probe-${node.id}`, probe, 1, end => {
          acknowledged ||= end === 'ok'
        })
      }
      this.advance(PROBE_MS)
    }
    return queue.nowMs - healedMs
  }

  converge(): void {
    this.clients.isStopped = true
    for (const ms of this.converging()) this.advance(ms)
  }
}
