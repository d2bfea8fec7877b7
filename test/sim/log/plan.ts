/**
 * What one seed does: how large the cluster is, how good its network, disks and clocks are, and which faults strike how
 * often. Each seed has a subset of the faults only, drawn anew: a run in which everything breaks all the time never gets
 * far enough to break the interesting things.
 */
import type { Prng } from '../../../src/core/base/prng.ts'
import { LOG_LIMITS, type LogLimits } from '../../../src/core/log/limits.ts'
import { LOG_TIMING, type LogTiming } from '../../../src/core/log/timing.ts'

/** Strike one node or link, for a time. */
export const FAULTS = [
  'powerLoss',
  'processKill',
  'everybodyDies',
  'pause',
  'suspend',
  'partition',
  'oneWayPartition',
  'linkCut',
  'flapping',
  'slowDisk',
  'hungDisk',
  'diskError',
  'diskFull',
  'rot',
  'lostRecord',
  'misdirectedRecord',
  'blankDisk',
  'wallJump',
  'clockJump',
  'stepDown',
] as const
export type Fault = (typeof FAULTS)[number]

/** What else a plan may hold, and `only` may leave out. */
export const CONDITIONS = ['drop', 'duplicate', 'late', 'corrupt', 'drift', 'clockBeyond'] as const

/** A disk that these strike does not come back: there is no replacement of members yet. */
export const LASTING: readonly Fault[] = ['diskError', 'rot', 'lostRecord', 'misdirectedRecord', 'blankDisk']

export interface NetworkPlan {
  readonly latencyMsMin: number
  readonly latencyMsMax: number
  /** Chances per message. */
  readonly drop: number
  readonly duplicate: number
  readonly late: number
  readonly corrupt: number
  readonly lateMsMax: number
  /** One connection keeps its order, as TCP does; else every message finds its own way. */
  readonly inOrder: boolean
}

export interface Plan {
  readonly seed: number
  readonly nodes: number
  readonly minutes: number
  readonly timing: LogTiming
  readonly network: NetworkPlan
  readonly flushMsMin: number
  readonly flushMsMax: number
  /** Each fault of this seed and the mean time between two of it, ms. */
  readonly faults: ReadonlyMap<Fault, number>
  /** How far the clock of a node may be off in rate; beyond the bound nobody may rely on leases. */
  readonly drift: number
  /** Whether leases must hold: clocks keep the bound, and no monotonic one jumps ahead, which voters would not notice. */
  readonly leasesHold: boolean
  readonly clients: number
  readonly thinkMs: number
  /** Share of reads. */
  readonly reads: number
  /** Share of transactions that are written in several parts. */
  readonly inParts: number
  readonly limits: LogLimits
}

export interface PlanOptions {
  readonly nodes?: number | undefined
  readonly minutes?: number | undefined
  /** Only these faults, if given. */
  readonly only?: ReadonlySet<string> | undefined
}

export function drawPlan(seed: number, random: Prng, options: PlanOptions = {}): Plan {
  const chance = (share: number): boolean => random.next() < share
  const between = (from: number, to: number): number => from * (to / from) ** random.next()
  const allowed = (name: string): boolean => options.only === undefined || options.only.has(name)
  // What is left out is drawn all the same, so that the rest stays as it was.
  const sometimes = (name: string, share: number, from: number, to: number): number => {
    const rate = chance(share) ? between(from, to) : 0
    return allowed(name) ? rate : 0
  }
  const nodes = options.nodes ?? [3, 3, 3, 5, 5, 7][random.int(0, 6)]!
  const leaseMs = chance(0.7) ? LOG_TIMING.leaseMs : 500
  const timing: LogTiming = { ...LOG_TIMING, leaseMs, heartbeatMs: leaseMs === 500 ? 80 : LOG_TIMING.heartbeatMs }
  const share = between(0.1, 0.6)
  const faults = new Map<Fault, number>()
  for (const fault of FAULTS) {
    const isDrawn = chance(share)
    const everyMs = between(2_000, 30_000)
    if (isDrawn && allowed(fault)) faults.set(fault, everyMs)
  }
  const fast = chance(0.5)
  const network: NetworkPlan = {
    latencyMsMin: 0.05,
    latencyMsMax: fast ? between(0.1, 2) : between(2, 60),
    drop: sometimes('drop', 0.4, 0.002, 0.3),
    duplicate: sometimes('duplicate', 0.4, 0.002, 0.3),
    late: sometimes('late', 0.4, 0.002, 0.2),
    corrupt: sometimes('corrupt', 0.3, 0.002, 0.1),
    lateMsMax: between(50, 10 * leaseMs),
    inOrder: chance(0.4),
  }
  const isBeyond = chance(0.1) && allowed('clockBeyond')
  const isDrifting = chance(0.6) && allowed('drift')
  const drift = isBeyond ? between(0.05, 1) : isDrifting ? timing.clockDrift / 2 : 0
  const leasesHold = !isBeyond && !faults.has('clockJump')
  return {
    seed,
    nodes,
    minutes: options.minutes ?? 1,
    timing,
    network,
    flushMsMin: 0.1,
    flushMsMax: chance(0.7) ? between(0.2, 4) : between(4, 60),
    faults,
    drift,
    leasesHold,
    clients: random.int(1, 9),
    thinkMs: between(20, 1_000),
    reads: chance(0.8) ? between(0.1, 0.7) : 0,
    inParts: chance(0.3) ? 0.1 : 0,
    limits: drawLimits(random),
  }
}

/** Mostly so small that a short run truncates, fetches and installs snapshots again and again. */
function drawLimits(random: Prng): LogLimits {
  const small: LogLimits = {
    entriesKept: random.int(2, 24),
    truncateStep: random.int(3, 20),
    dropStep: random.int(1, 10),
    lagMax: random.int(5, 40),
    pageBytes: random.int(100, 1_500),
    checkpointEvery: random.int(5, 40),
  }
  return random.next() < 0.75 ? small : LOG_LIMITS
}

/** A cluster on which nothing strikes by itself: for scenes in which a test does. */
export function quietPlan(seed: number, change: Partial<Plan> = {}): Plan {
  return {
    seed,
    nodes: 3,
    minutes: 0,
    timing: LOG_TIMING,
    network: {
      latencyMsMin: 0.1,
      latencyMsMax: 2,
      drop: 0,
      duplicate: 0,
      late: 0,
      corrupt: 0,
      lateMsMax: 0,
      inOrder: true,
    },
    flushMsMin: 0.2,
    flushMsMax: 2,
    faults: new Map(),
    drift: 0,
    leasesHold: true,
    clients: 4,
    thinkMs: 20,
    reads: 0.3,
    inParts: 0,
    limits: LOG_LIMITS,
    ...change,
  }
}
