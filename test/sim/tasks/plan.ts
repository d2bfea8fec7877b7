/** What one seed does to tasks, beside what it does to the logs: agents, clients, how soon the scheduler loses patience. */
import type { Prng } from '../../../src/core/base/prng.ts'
import type { LeaderParts } from '../../../src/runtime/leader.ts'

/** Strike one agent, for a time. */
export const AGENT_FAULTS = ['agentReboot', 'agentFreeze', 'agentCut', 'agentPartition'] as const
export type AgentFault = (typeof AGENT_FAULTS)[number]

export interface TaskPlan {
  readonly agents: number
  readonly clients: number
  readonly thinkMs: number
  readonly leaseMs: number
  readonly pageRowsMax: number
  readonly agentLatencyMsMax: number
  readonly heartbeatMs: number
  readonly config: LeaderParts['config']
  /** Mean time between two of them, ms. */
  readonly faults: ReadonlyMap<AgentFault, number>
  /** Mean time between two looks of a machine at its tasks. */
  readonly stepMs: number
  /** Chance that an answer to a client is lost on its way. */
  readonly answersLost: number
  /** Chance that a client does not wait for the answer before it asks the next thing of the same job. */
  readonly haste: number
}

export function drawTaskPlan(random: Prng, leaseMs: number, only?: ReadonlySet<string>): TaskPlan {
  const chance = (share: number): boolean => random.next() < share
  const between = (from: number, to: number): number => from * (to / from) ** random.next()
  const faults = new Map<AgentFault, number>()
  const share = between(0.2, 0.9)
  for (const fault of AGENT_FAULTS) {
    const isDrawn = chance(share)
    const everyMs = between(1_500, 20_000)
    if (isDrawn && (only === undefined || only.has(fault))) faults.set(fault, everyMs)
  }
  return {
    agents: random.int(2, 6),
    clients: random.int(1, 6),
    thinkMs: between(300, 5_000),
    leaseMs,
    pageRowsMax: chance(0.5) ? random.int(1, 10) : 2_000,
    agentLatencyMsMax: chance(0.7) ? between(1, 20) : between(20, 500),
    heartbeatMs: 1_000,
    config: schedulerConfig(random),
    faults,
    stepMs: between(200, 3_000),
    answersLost: chance(0.6) ? between(0.01, 0.3) : 0,
    haste: chance(0.5) ? between(0.05, 0.5) : 0,
  }
}

/** Shorter than in life, so that every one of them runs out within a run. */
function schedulerConfig(random: Prng): LeaderParts['config'] {
  return {
    scheduler: {
      heap: 2 ** 32,
      allowedEnvironments: '^devel$',
      maxTasksPerJob: 100,
      tiersFile: null,
      allowGpus: false,
      transientTimeout: random.int(5_000, 30_000),
      killRetry: random.int(1_000, 6_000),
      schedulePenaltyMax: 3_000,
      agentHeartbeat: 1_000,
      agentUnreachable: random.int(4_000, 15_000),
      agentForget: 7 * 86_400_000,
      registrationDelay: 20_000,
      reconciliation: {
        initialDelay: random.int(1_000, 8_000),
        explicitInterval: random.int(5_000, 20_000),
        implicitInterval: random.int(5_000, 20_000),
        spread: 2_000,
        batchSize: 3,
        batchInterval: 200,
      },
      startSpread: 300,
      offerOrder: ['RANDOM'],
      preemption: { enabled: true, delay: 1_000, interval: 500, batch: 100, reservation: 30_000 },
      flapping: { threshold: 5_000, pauseMin: 200, pauseMax: 2_000, restartsPerSecond: 100 },
      webhook: { url: null, timeout: 5_000, headersFile: null, secretFile: null, statuses: [], job: null },
      requestOutcomes: { keep: 86_400_000, max: 100_000 },
      pruning: { keep: 172_800_000, keepMin: 3_600_000, perJob: 100 },
      updatePruning: { interval: 900_000, keep: 2_592_000_000, perJob: 10 },
    },
    executor: { overheadCpus: 10, overheadRam: 8 * 1024 * 1024 },
  }
}
