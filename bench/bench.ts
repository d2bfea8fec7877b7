/**
 * What a benchmark is. `npm run bench` lists them, `npm run bench -- NAME` runs one (see `main.ts`).
 *
 * A benchmark lives in `bench/<name>.bench.ts` and has `export const bench: Bench`. It measures each of its figures
 * with `measure`, which warms up, repeats, and keeps every run: one lucky number says nothing. Parts that need worker
 * threads or child processes find the built program beside them (`dist/src`), as benches run built too.
 */

export interface Bench {
  /** As typed on the command line, and the first part of the file name. */
  readonly name: string
  readonly title: string
  /** True for one that takes so long that `all` leaves it out, except under `--quick`. */
  readonly isLong?: boolean
  /** Those that it can measure beside Daybreak in the same run. */
  readonly peers?: readonly PeerName[]
  /** The pictures of its figures in `docs/benchmarks.md`. */
  readonly plots?: readonly Plot[]
  run(options: BenchOptions): Promise<BenchResult>
}

/** What a user would pick instead of Daybreak, or of a part of it. */
export const PEER_NAMES = ['etcd', 'zookeeper', 'slurm', 'nact', 'json-ws'] as const
export type PeerName = (typeof PEER_NAMES)[number]

/** One picture: a figure is a bar, or a point of a line where `x` says at which place (writers, hosts, tasks). */
export interface Plot {
  /** Kebab case, stable: the picture is `docs/benchmarks/<bench>-<name>.svg`. */
  readonly name: string
  readonly title: string
  readonly kind: 'bars' | 'lines'
  /** What the places of lines are: `writers`. */
  readonly xTitle?: string
  readonly points: readonly {
    /** Name of the figure; one that was not measured in a run is left out of its picture. */
    readonly figure: string
    /** Whose it is or which variant: `Daybreak`, `etcd`. */
    readonly series: string
    /** What stands under the bar; for lines, `x`. */
    readonly label: string
    readonly x?: number
  }[]
}

export interface BenchOptions {
  /** True under `--quick`: small sizes, so that all benches together end within a minute; figures are then only rough. */
  readonly quick: boolean
  /** Measured runs per figure: 5, or 3 under `--quick`. One more goes before them to warm up. */
  readonly runs: number
  /** Shows progress; never part of the result. */
  readonly say: (line: string) => void
  /** Peers that were asked for and that this bench can measure. */
  readonly peers: readonly PeerName[]
}

export interface BenchResult {
  readonly figures: readonly Figure[]
  /** What a reader must know to read the figures: sizes used, what was fake, why a target was missed. */
  readonly notes: readonly string[]
  /** One for each peer that was asked for. */
  readonly peers?: readonly PeerReport[]
}

export interface PeerReport {
  readonly name: PeerName
  /** As the peer itself says; null if it was skipped. */
  readonly version: string | null
  /** Why it was not measured and what to do about it, in one line; null if it was. */
  readonly skipped: string | null
  /** How it was set up and loaded, above all what makes it durable: one fact a line. */
  readonly configuration: readonly string[]
}

export interface Figure extends FigureSpec {
  readonly median: number
  readonly min: number
  readonly max: number
  /** Every measured run in order. */
  readonly values: readonly number[]
  /** Null when there is no target. */
  readonly met: boolean | null
}

export interface FigureSpec {
  /** Kebab case, stable: figures of two days are compared by it. `ping-pong-shell`. */
  readonly name: string
  /** `messages/s`, `ms`, `bytes`, `ratio`. */
  readonly unit: string
  readonly better: 'higher' | 'lower'
  /** What the median must reach, in the same unit. */
  readonly target?: number
}

/** Runs `once` to warm up, then `runs` times, and sums the values up. `once` answers in the unit of the figure. */
export async function measure(
  spec: FigureSpec,
  options: BenchOptions,
  once: () => number | Promise<number>,
): Promise<Figure> {
  await once()
  const values: number[] = []
  for (let run = 0; run < options.runs; run++) values.push(await once())
  return figure(spec, values)
}

/** For values that come several at a time (p50 and p99 of one run): collect them per run, then make a figure of each. */
export function figure(spec: FigureSpec, values: readonly number[]): Figure {
  if (values.length === 0) throw new Error(`figure ${spec.name} was never measured`)
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  const met =
    spec.target === undefined ? null : spec.better === 'higher' ? median >= spec.target : median <= spec.target
  return { ...spec, median, min: sorted[0]!, max: sorted[sorted.length - 1]!, values, met }
}

/** The value below which `share` (0 to 1) of the samples lie; samples need not be sorted and are not changed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}
