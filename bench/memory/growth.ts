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
import { askedAgainNote, firstOfTurn, hasAskedAgain, meanMicrosOf, middleOf, type Turn } from './turns.ts'

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

export interface Growth {
  readonly figures: readonly Figure[]
  readonly note: string
}

/** `sized` from the smallest to the largest. */
export async function growth(sized: readonly Sized[], options: BenchOptions): Promise<Growth> {
  const sides = await Promise.all(sized.map(sideOf))
  const figures: Figure[] = []
  const ratios = new Map<Group, { readonly name: string; readonly values: readonly number[] }[]>()
  let note = ''
  try {
    const all = await measureInTurns(sides, options)
    note = askedAgainNote(all.map(({ askedAgain }, n) => ({ tasks: sides[n]!.tasks, operations: [...askedAgain] })))
    for (const [at, { name, group }] of sides[0]!.operations.entries()) {
      const costs = all.map(({ costs }) => costs[at]!)
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
    for (const [n, { meanMicros }] of all.entries()) {
      figures.push(figure({ name: `mean-cpu-${sides[n]!.tasks}`, unit: 'µs', better: 'lower' }, meanMicros))
    }
    const least = all[0]!.meanMicros
    const means = all.at(-1)!.meanMicros.map((micros, run) => micros / least[run]!)
    figures.push(figure({ name: 'growth-mean', unit: 'ratio', better: 'lower' }, means))
  } finally {
    for (const { client } of sides) client.close()
  }
  return { figures: [...GROUPS.map(group => worstOf(group, ratios.get(group)!)), ...figures], note }
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

interface SideCosts {
  /** By operation. */
  readonly costs: readonly Cost[]
  /** By run: the mean over all operations, of all their turns, those that a collection fell into too. */
  readonly meanMicros: number[]
  /** Names of operations for which there was not enough to ask for something else in each turn. */
  readonly askedAgain: Set<string>
}

/**
 * By side. Each run asks for every operation in several short turns with all others in between, and the median turn
 * counts: a collection of the whole heap takes seconds with a million tasks, and falls into neighbouring turns. Turns of
 * one operation that followed each other would all have it, and those of the next none.
 */
async function measureInTurns(sides: readonly Side[], options: BenchOptions): Promise<readonly SideCosts[]> {
  const operationCount = sides[0]!.operations.length
  const all = sides.map((): SideCosts => {
    const costs = Array.from({ length: operationCount }, (): Cost => ({ cpuMicros: [], p50Ms: [] }))
    return { costs, meanMicros: [], askedAgain: new Set() }
  })
  const cpuMicros = (options.quick ? 50_000 : 120_000) / TURNS
  const turnsInAll = (1 + options.runs) * TURNS
  for (let run = -1; run < options.runs; run++) {
    options.say(run < 0 ? 'each operation is asked for, to warm up' : `run ${run + 1} of ${options.runs}`)
    const turns = sides.map(() => Array.from({ length: operationCount }, (): Turn[] => []))
    for (let turn = 0; turn < TURNS; turn++) {
      for (let at = 0; at < operationCount; at++) {
        for (const [n, side] of sides.entries()) {
          const { name, things } = side.operations[at]!
          const from = firstOfTurn(things, (run + 1) * TURNS + turn, turnsInAll)
          const done = await turnOf(side, side.operations[at]!, cpuMicros, from)
          turns[n]![at]!.push(done)
          if (hasAskedAgain(things, turnsInAll, done.asked)) all[n]!.askedAgain.add(name)
        }
      }
    }
    if (run < 0) continue
    for (const [n, { costs, meanMicros }] of all.entries()) {
      for (const [at, cost] of costs.entries()) {
        const middle = middleOf(turns[n]![at]!)
        cost.cpuMicros.push(middle.cpuMicros)
        cost.p50Ms.push(middle.p50Ms)
      }
      meanMicros.push(meanMicrosOf(turns[n]!))
    }
  }
  return all
}

/** Of one operation in a run; odd, so that one of them is the median. */
const TURNS = 5

/** One after the other until the node has used so much processor time, or so much time has gone. */
async function turnOf({ pid, client }: Side, { ask }: Operation, cpuMicrosMin: number, from: number): Promise<Turn> {
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
  return { cpuMicros: used, asked: tookMs.length, p50Ms: percentile(tookMs, 0.5) }
}

/** Operations between two looks at the clock of the node. */
const ASKED_BETWEEN = 10
