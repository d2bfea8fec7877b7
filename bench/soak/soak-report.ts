/** What a soak has noticed, and the figures that come of it. Pure. */
import { type Figure, figure, percentile } from '../bench.ts'
import { drift, meanOf, medianOf, type Point, slope } from './drift.ts'

/** One operation of the load. */
export interface Timing {
  readonly isWrite: boolean
  /** Wall ms. */
  readonly dueMs: number
  /** From when it was due, retries included. */
  readonly tookMs: number
}

export interface Failure {
  /** Wall ms. */
  readonly atMs: number
  readonly what: string
  /** Nothing excuses it: an operation was given up, or events were out of order. */
  readonly isFinal: boolean
}

/** Somebody else came to lead. */
export interface Disturbance {
  readonly what: string
  /** Wall ms: from when it was asked for until all nodes are level again. */
  readonly fromMs: number
  readonly toMs: number
}

/** Of one node. */
export interface NodeSample {
  readonly rssBytes: number
  readonly heapBytes: number
  readonly descriptors: number
  /** Databases, and the whole data folder. */
  readonly lmdbBytes: number
  readonly folderBytes: number
}

export interface Sample {
  /** Since the load began. */
  readonly atS: number
  /** By member id - 1; null while it is down. */
  readonly nodes: readonly (NodeSample | null)[]
  /** Cores that all nodes have used since the sample before. */
  readonly cores: number
}

export interface SoakRun {
  /** Wall ms. */
  readonly beganMs: number
  readonly lengthS: number
  readonly samples: readonly Sample[]
  readonly timings: readonly Timing[]
  readonly failures: readonly Failure[]
  readonly disturbances: readonly Disturbance[]
  /** Durable changes that were acknowledged. */
  readonly changes: number
  readonly events: number
  readonly lost: number
}

/** What follows a disturbance may be of it for so long: clients come back, agents dial again. */
const AFTER_MS = 5_000
/** Shorter runs have not come into a steady state: they get no target. */
export const JUDGED_S_LEAST = 720
const SERIES_S = 300
const MIB = 1_048_576
const FIRST = 0

export function isDisturbed(atMs: number, disturbances: readonly Disturbance[]): boolean {
  return disturbances.some(({ fromMs, toMs }) => atMs >= fromMs && atMs <= toMs + AFTER_MS)
}

/** Those that no change of leader explains. An operation is given up long after it was due, and never excused. */
export function unexpected({ failures, disturbances }: Pick<SoakRun, 'failures' | 'disturbances'>): readonly Failure[] {
  return failures.filter(({ atMs, isFinal }) => isFinal || !isDisturbed(atMs, disturbances))
}

/** How often each came, the most frequent first: `3 × 503 …`. */
export function named(failures: readonly Failure[], most = 5): readonly string[] {
  const counts = new Map<string, number>()
  for (const { what } of failures) counts.set(what, (counts.get(what) ?? 0) + 1)
  const sorted = [...counts].sort(([, a], [, b]) => b - a)
  const rest = sorted.slice(most).reduce((sum, [, count]) => sum + count, 0)
  return [
    ...sorted.slice(0, most).map(([what, count]) => `${count} × ${what}`),
    ...(rest > 0 ? [`${rest} of ${sorted.length - most} other kinds`] : []),
  ]
}

export function figuresOf(run: SoakRun): readonly Figure[] {
  const { lengthS, samples } = run
  const target = (value: number) => (lengthS >= JUDGED_S_LEAST ? { target: value } : {})
  const first = (pick: (node: NodeSample) => number): Point[] =>
    samples.flatMap(({ atS, nodes }) => (nodes[FIRST] == null ? [] : [{ atS, value: pick(nodes[FIRST]) }]))
  const all = (pick: (node: NodeSample) => number): Point[] =>
    samples.flatMap(({ atS, nodes }) =>
      nodes.every(node => node !== null) ? [{ atS, value: nodes.reduce((sum, node) => sum + pick(node!), 0) }] : [],
    )
  const memory = first(({ rssBytes }) => rssBytes / MIB)
  const heap = first(({ heapBytes }) => heapBytes / MIB)
  const lmdb = all(({ lmdbBytes }) => lmdbBytes / MIB)
  const folders = all(({ folderBytes }) => folderBytes / MIB)
  // A leader has the connections of the agents, and node 1 leads for half of each part: a median would be of either half.
  const descriptors = first(one => one.descriptors)
  const lowest = (part: readonly Point[]): number =>
    percentile(
      part.map(({ value }) => value),
      0.1,
    )
  return [
    ...ratio('memory-drift', drift(memory, lengthS, meanOf), target(1.1)),
    ...value('memory-slope', 'MiB/h', slope(memory.filter(({ atS }) => atS >= lengthS / 6)) * 3_600),
    ...ratio('heap-drift', drift(heap, lengthS, lowest), target(1.1)),
    ...ratio('file-drift', drift(lmdb, lengthS, medianOf), target(1.1)),
    ...ratio('folder-drift', drift(folders, lengthS, medianOf), {}),
    ...ratio('descriptors-drift', drift(descriptors, lengthS, meanOf), target(1.1)),
    ...latencies(run, 'write', target(1.5)),
    ...latencies(run, 'read', target(1.5)),
    figure({ name: 'unexpected-errors', unit: 'errors', better: 'lower', target: 0 }, [unexpected(run).length]),
    figure({ name: 'lost', unit: 'jobs', better: 'lower', target: 0 }, [run.lost]),
    figure({ name: 'changes', unit: 'per s', better: 'higher' }, [run.changes / lengthS]),
    figure({ name: 'events', unit: 'per s', better: 'higher' }, [run.events / lengthS]),
    ...values(
      { name: 'cores', unit: 'cores' },
      samples.map(({ cores }) => cores),
    ),
    ...series('memory', 'MiB', lengthS, memory, meanOf),
    ...series('heap', 'MiB', lengthS, heap, lowest),
    ...series('files', 'MiB', lengthS, lmdb, medianOf),
  ]
}

/** Of operations that were due while nobody else came to lead; the worst is of all. */
function latencies(run: SoakRun, what: 'write' | 'read', target: { readonly target?: number }): readonly Figure[] {
  const { beganMs, lengthS, disturbances } = run
  const every = run.timings
    .filter(({ isWrite }) => isWrite === (what === 'write'))
    .map(({ dueMs, tookMs }) => ({ atS: (dueMs - beganMs) / 1_000, dueMs, value: tookMs }))
  const calm = every.filter(({ dueMs }) => !isDisturbed(dueMs, disturbances))
  const at = (share: number) => (part: readonly Point[]) =>
    percentile(
      part.map(({ value }) => value),
      share,
    )
  const windowS = Math.min(60, lengthS / 6)
  const windows = (share: number): number[] =>
    Array.from({ length: Math.floor(lengthS / windowS) }, (_, n) =>
      at(share)(calm.filter(({ atS }) => atS >= n * windowS && atS < (n + 1) * windowS)),
    )
  return [
    ...values({ name: `${what}-p50`, unit: 'ms' }, windows(0.5)),
    ...values({ name: `${what}-p99`, unit: 'ms' }, windows(0.99)),
    ...ratio(`${what}-p50-drift`, drift(calm, lengthS, at(0.5)), target),
    ...ratio(`${what}-p99-drift`, drift(calm, lengthS, at(0.99)), target),
    ...value(`${what}-worst`, 'ms', every.length === 0 ? Number.NaN : Math.max(...every.map(one => one.value))),
    ...series(`${what}-p99`, 'ms', lengthS, calm, at(0.99)),
  ]
}

/** One figure for each five minutes, named by their end. */
function series(
  name: string,
  unit: string,
  lengthS: number,
  points: readonly Point[],
  of: (part: readonly Point[]) => number,
): readonly Figure[] {
  return minutesOf(lengthS).flatMap(minute => {
    const part = points.filter(({ atS }) => atS >= minute * 60 - SERIES_S && atS < minute * 60)
    return value(seriesName(name, minute), unit, part.length === 0 ? Number.NaN : of(part))
  })
}

export function minutesOf(lengthS: number): readonly number[] {
  return Array.from({ length: Math.floor(lengthS / SERIES_S) }, (_, n) => ((n + 1) * SERIES_S) / 60)
}

export const seriesName = (name: string, minute: number): string => `${name}-minute-${String(minute).padStart(2, '0')}`

const ratio = (name: string, of: number, target: { readonly target?: number }): readonly Figure[] =>
  values({ name, unit: 'ratio', ...target }, [of])
const value = (name: string, unit: string, of: number): readonly Figure[] => values({ name, unit }, [of])

/** What was never measured is left out. */
function values(
  spec: { readonly name: string; readonly unit: string; readonly target?: number },
  all: readonly number[],
): readonly Figure[] {
  const measured = all.filter(Number.isFinite)
  return measured.length === 0 ? [] : [figure({ ...spec, better: 'lower' }, measured)]
}
