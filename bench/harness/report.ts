/**
 * What `--json` writes. Each measurement of a bench says by itself where, when and of what program it is, so files of
 * several runs can be put together: see `merged`.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { z } from 'zod'
import { PEER_NAMES } from '../bench.ts'

/** Goes up when a reader of the last one would go wrong. */
export const REPORT_FORMAT = 2

// JSON has no NaN: what could not be divided comes back as what it was.
const num = z
  .number()
  .nullable()
  .transform(value => value ?? Number.NaN)

const disk = z.object({
  /** `ext4`, `tmpfs`. */
  fileSystem: z.string(),
  /** Median time to flush 4 KiB. */
  flushMs: num,
})

const machine = z.object({
  cpu: z.string(),
  cores: z.number(),
  memoryMiB: z.number(),
  kernel: z.string(),
  node: z.string(),
  disk,
})

const figure = z.object({
  name: z.string(),
  unit: z.string(),
  better: z.enum(['higher', 'lower']),
  target: z.exactOptional(z.number()),
  median: num,
  min: num,
  max: num,
  values: z.array(num),
  met: z.boolean().nullable(),
})

const peer = z.object({
  name: z.enum(PEER_NAMES),
  version: z.string().nullable(),
  skipped: z.string().nullable(),
  configuration: z.array(z.string()),
})

const plot = z.object({
  name: z.string(),
  title: z.string(),
  kind: z.enum(['bars', 'lines']),
  xTitle: z.exactOptional(z.string()),
  points: z.array(
    z.object({ figure: z.string(), series: z.string(), label: z.string(), x: z.exactOptional(z.number()) }),
  ),
})

const measurement = z.object({
  bench: z.string(),
  title: z.string(),
  /** ISO 8601, UTC. */
  startedAt: z.string(),
  tookMs: z.number(),
  quick: z.boolean(),
  runs: z.number(),
  /** Figures are lower for it. */
  profiled: z.boolean(),
  commit: z.string().nullable(),
  machine,
  /** Of the last minute before and after. */
  load: z.object({ before: z.number(), after: z.number() }),
  /** Why it threw; null if it came to its end. */
  failed: z.string().nullable(),
  figures: z.array(figure),
  notes: z.array(z.string()),
  peers: z.array(peer),
  plots: z.array(plot),
})

const report = z.object({ format: z.literal(REPORT_FORMAT), measurements: z.array(measurement) })

export type Disk = z.infer<typeof disk>
export type Machine = z.infer<typeof machine>
export type Measurement = z.infer<typeof measurement>

/** A file of results that cannot be used; its message names the file and the remedy. */
export class ReportError extends Error {}

export function writeReport(path: string, measurements: readonly Measurement[]): void {
  // Whole or not at all: a later bench may take the process down.
  writeFileSync(`${path}.new`, `${JSON.stringify({ format: REPORT_FORMAT, measurements }, null, 2)}\n`)
  renameSync(`${path}.new`, path)
}

/** Throws a ReportError. */
export function readReport(path: string): readonly Measurement[] {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    const gone = (cause as { code?: string }).code
    const why = gone === undefined ? 'is not JSON' : gone === 'ENOENT' ? 'is not there' : `cannot be read (${gone})`
    throw new ReportError(`${path} ${why}: name a file that --json has written`)
  }
  const { format } = (typeof value === 'object' && value !== null ? value : {}) as { format?: unknown }
  if (format !== REPORT_FORMAT) {
    const has = format === undefined ? 'has no format number' : `has format ${JSON.stringify(format)}`
    throw new ReportError(`${path} ${has}, this program reads ${REPORT_FORMAT}: measure again with --json`)
  }
  const read = report.safeParse(value)
  if (read.success) return read.data.measurements
  const [issue] = read.error.issues
  throw new ReportError(`${path}: ${issue?.path.join('.')}: ${issue?.message}: measure again with --json`)
}

/**
 * One measurement of each bench, sorted by its name: the newest of the whole runs, or of the quick ones where there is no
 * other. Those that failed, and those under a profiler, are no results.
 */
export function merged(reports: readonly (readonly Measurement[])[]): readonly Measurement[] {
  const best = new Map<string, Measurement>()
  for (const one of reports.flat()) {
    if (one.failed !== null || one.profiled) continue
    const other = best.get(one.bench)
    const wins = other === undefined || (one.quick === other.quick ? one.startedAt > other.startedAt : other.quick)
    if (wins) best.set(one.bench, one)
  }
  return [...best.values()].sort((a, b) => (a.bench < b.bench ? -1 : 1))
}
