/**
 * A million tasks in the ledger: how much memory the leader takes, and what operations cost there that cost so much with a
 * thousand. Real nodes, one of them a cluster with a quorum of its own: what grows is in the leader, and followers hold
 * the same rows and less beside them.
 */
import { loadavg } from 'node:os'
import type { Bench, BenchOptions, BenchResult } from './bench.ts'
import { LargeCluster } from './lifecycle/large-cluster.ts'
import { active, footprint, starts } from './memory/footprint.ts'
import { type Growth, growth, growthPlots, type Sized } from './memory/growth.ts'
import { sizesOf } from './memory/operations.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
const QUICK_SIZES = [1_000, 20_000]

export const bench: Bench = {
  name: 'memory',
  title: 'a million tasks: memory of the leader, and what lookups, lists and writes cost from a thousand tasks on',
  plots: growthPlots(SIZES),
  run,
}

/** Nobody is declared lost meanwhile: there are no agents here. */
const FLAGS = ['--scheduler.agentUnreachable', '1h', '--scheduler.transientTimeout', '1h', '--logging.level', 'warn']

async function run(options: BenchOptions): Promise<BenchResult> {
  const loadBefore = loadavg()[0]!
  const sizes = options.quick ? QUICK_SIZES : SIZES
  const most = sizes.at(-1)!
  const some = await together(sizes, options, async sized => {
    const { figures, note } = await growth(sized, options)
    const { cluster } = sized.at(-1)!
    const ofLargest = await footprint(cluster, most, `${most}`, options)
    return { note, figures: [...ofLargest, ...figures, ...(await starts(cluster, `${most}`, 1, options))] }
  })
  options.say(`${most} live tasks are written into a log`)
  const all = await LargeCluster.with(
    sizesOf(most, 'all'),
    FLAGS,
    async cluster => {
      await walked(cluster)
      return footprint(cluster, most, `${most}-live`, options)
    },
    ALONE,
  )
  return {
    figures: [...some.figures, ...all],
    notes: [
      `${most} tasks: of jobs of 20 instances, 4 that run and 16 that have ended; -live: all of them run. About 50 tasks a host, 10 jobs a role, whatever the size. Rows are written into the log before the node starts; there are no agents`,
      'leader-rss: the resident set of the whole process, log thread and pages of its files included, once it is ACTIVE and all operations have been asked for (-live: every task once, by pages), -peak: the most it has ever been, the load of the rows included; -files: the part that the kernel may take back when memory is short; heap and external: after collections',
      'NAME-cpu-TASKS: processor time of all threads of the node per operation, one operation after the other; nodes of all sizes are up at once and asked in turns. Of each run the median of five short turns that lie apart, so that a collection of the whole heap, which falls into few of them, does not decide',
      some.note,
      'mean-cpu-TASKS: of each operation the processor time of all its turns over how often it was asked for, and of that the plain mean over the operations: collections included, which take longer with more tasks; growth-mean: that with the most tasks over that with the fewest. How many collections fall into a run is partly chance',
      'growth-NAME: processor time per operation with the most tasks over that with the fewest, run by run; growth-lookup, -list and -write: the operation of that kind that grows most',
      'nodes are started by bin/daybreak, as users start them; start: from there, after SIGKILL, rows from its own disk',
      `nodes and client share this machine: load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
    ],
  }
}

/** As a user starts it: what Node is told about its heap matters here. */
const ALONE = { members: 1, isLaunched: true } as const

/** Clusters of all sizes at once. */
function together(
  sizes: readonly number[],
  options: BenchOptions,
  work: (sized: readonly Sized[]) => Promise<Growth>,
  open: readonly Sized[] = [],
): Promise<Growth> {
  const [tasks, ...rest] = sizes
  if (tasks === undefined) return work(open)
  options.say(`${tasks} tasks are written into a log`)
  const next = (cluster: LargeCluster) => together(rest, options, work, [...open, { tasks, cluster }])
  return LargeCluster.with(sizesOf(tasks), FLAGS, next, ALONE)
}

/** Reads every task once, as a client that lists all of them would. */
async function walked(cluster: LargeCluster): Promise<void> {
  const { node } = await cluster.nodes.leader()
  await active(node.url)
  let cursor: string | null = null
  do {
    const behind: string = cursor === null ? '' : `&cursor=${cursor}`
    const answer = await fetch(`${node.url}/api/v1/tasks?limit=1000${behind}`)
    cursor = ((await answer.json()) as { readonly next: string | null }).next
  } while (cursor !== null)
}
