/**
 * The same operations on clusters of different sizes, all of them up at once and asked in turns, so that whatever else the
 * machine does falls on all sizes alike.
 */
import { Client } from '../api/client.ts'
import { type BenchOptions, type Figure, figure, type Plot, percentile } from '../bench.ts'
import { heapBytesOf } from '../lifecycle/inspector.ts'
import type { LargeCluster } from '../lifecycle/large-cluster.ts'
import { cpuMicrosOf, settled } from './cpu.ts'
import { active } from './footprint.ts'
import { type Group, type Operation, operations, sizesOf } from './operations.ts'

export interface Sized {
  readonly tasks: number
  readonly cluster: LargeCluster
}

const GROUPS: readonly Group[] = ['lookup', 'list', 'write']
const GROWTH_MAX = 1.5

interface Cost {
  readonly cpuMicros: number[]
  readonly p50Ms: number[]
}

/** `sized` from the smallest to the largest. */
export async function growth(sized: readonly Sized[], options: BenchOptions): Promise<readonly Figure[]> {
  const sides = await Promise.all(sized.map(sideOf))
  const figures: Figure[] = []
  const ratios = new Map<Group, { readonly name: string; readonly values: readonly number[] }[]>()
  try {
    const names = sides[0]!.operations.map(({ name, group }) => ({ name, group }))
    for (const [at, { name, group }] of names.entries()) {
      const costs = await measureInTurns(sides, at, options)
      const first = costs[0]!.cpuMicros
      const values = costs.at(-1)!.cpuMicros.map((micros, run) => micros / first[run]!)
      ratios.set(group, [...(ratios.get(group) ?? []), { name, values }])
      for (const [n, { cpuMicros, p50Ms }] of costs.entries()) {
        const { tasks } = sides[n]!
        figures.push(
          figure({ name: `${name}-cpu-${tasks}`, unit: 'µs', better: 'lower' }, cpuMicros),
          figure({ name: `${name}-p50-${tasks}`, unit: 'ms', better: 'lower' }, p50Ms),
        )
      }
      const ratio = figure({ name: `growth-${name}`, unit: 'ratio', better: 'lower', target: GROWTH_MAX }, values)
      options.say(
        `${name}: ${costs.map(({ cpuMicros }) => percentile(cpuMicros, 0.5).toFixed(0)).join(', ')} µs, grows ${ratio.median.toFixed(2)}`,
      )
      figures.push(ratio)
    }
  } finally {
    for (const { client } of sides) client.close()
  }
  return [...GROUPS.map(group => worstOf(group, ratios.get(group)!)), ...figures]
}

/** The operation that grows most speaks for its group. */
function worstOf(group: Group, all: readonly { readonly name: string; readonly values: readonly number[] }[]): Figure {
  const spec = { name: `growth-${group}`, unit: 'ratio', better: 'lower', target: GROWTH_MAX } as const
  return all.map(({ values }) => figure(spec, values)).reduce((worst, one) => (one.median > worst.median ? one : worst))
}

/** One line an operation over the sizes. */
export function growthPlots(tasks: readonly number[]): readonly Plot[] {
  return GROUPS.map(group => ({
    name: `cost-${group}`,
    title: `Processor time of the leader per operation by tasks in the ledger: ${group}`,
    kind: 'lines' as const,
    xTitle: 'tasks',
    points: operations(sizesOf(tasks[0]!))
      .filter(operation => operation.group === group)
      .flatMap(({ name }) =>
        tasks.map(x => ({ figure: `${name}-cpu-${x}`, series: name, label: x.toLocaleString('en-US'), x })),
      ),
  }))
}

interface Side {
  readonly tasks: number
  readonly pid: number
  readonly client: Client
  readonly operations: readonly Operation[]
}

async function sideOf({ tasks, cluster }: Sized): Promise<Side> {
  const { node } = await cluster.nodes.leader()
  const pid = node.child.pid!
  await active(node.url)
  await settled(pid)
  // What the start has left would else be collected while an operation or two are measured.
  await heapBytesOf(node)
  await settled(pid)
  return { tasks, pid, client: new Client(node.url), operations: operations(sizesOf(tasks)) }
}

async function measureInTurns(sides: readonly Side[], at: number, options: BenchOptions): Promise<readonly Cost[]> {
  const costs = sides.map((): Cost => ({ cpuMicros: [], p50Ms: [] }))
  const cpuMicros = options.quick ? 50_000 : 120_000
  for (let run = -1; run < options.runs; run++) {
    for (const [n, side] of sides.entries()) {
      const round = await roundOf(side, side.operations[at]!, cpuMicros, (run + 1) * 10_000)
      if (run < 0) continue
      costs[n]!.cpuMicros.push(round.cpuMicros)
      costs[n]!.p50Ms.push(round.p50Ms)
    }
  }
  return costs
}

/** One after the other until the node has used so much processor time, or so much time has gone. */
async function roundOf({ pid, client }: Side, { ask }: Operation, cpuMicrosMin: number, from: number) {
  const tookMs: number[] = []
  const cpuBefore = cpuMicrosOf(pid)
  const beganMs = performance.now()
  let used = 0
  while (used < cpuMicrosMin && performance.now() - beganMs < 5 * (cpuMicrosMin / 1_000)) {
    for (let n = 0; n < ASKED_BETWEEN; n++) {
      const askedMs = performance.now()
      await ask(client, from + tookMs.length)
      tookMs.push(performance.now() - askedMs)
    }
    used = cpuMicrosOf(pid) - cpuBefore
  }
  return { cpuMicros: used / tookMs.length, p50Ms: percentile(tookMs, 0.5) }
}

/** Operations between two looks at the clock of the node. */
const ASKED_BETWEEN = 10
