import { type Figure, type FigureSpec, figure } from '../../bench/bench.ts'
import type { Measurement } from '../../bench/harness/report.ts'

export const figureOf = (name: string, values: readonly number[], spec: Partial<FigureSpec> = {}): Figure =>
  figure({ name, unit: 'ms', better: 'lower', ...spec }, values)

/** A measurement of a quiet machine of two cores. */
export function measurementOf(bench: string, figures: readonly Figure[], rest: Partial<Measurement> = {}): Measurement {
  return {
    bench,
    title: `what ${bench} measures`,
    startedAt: '2026-01-02T03:04:05.000Z',
    tookMs: 61_000,
    quick: false,
    runs: 5,
    profiled: false,
    commit: 'abcdef012345',
    machine: {
      cpu: 'A Processor',
      cores: 2,
      memoryMiB: 8_192,
      kernel: '6.1.0',
      node: 'v20.20.0',
      disk: { fileSystem: 'ext4', flushMs: 1.2 },
    },
    load: { before: 0.1, after: 1.5 },
    failed: null,
    figures: figures as Measurement['figures'],
    notes: [],
    peers: [],
    plots: [],
    ...rest,
  }
}
