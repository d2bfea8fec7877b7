/**
 * How many searches for preemption slots are made per second, by the core alone: no actors, no log. One search is for
 * one group that waits, with 1 to 1,000 tasks. The cluster is that of Aurora's `PreemptorSlotSearchBenchmark`: a tenth
 * of the hosts runs the job that waits, the rest tasks of another role that may be preempted. It is searched when
 * a constraint rules out every host (Aurora's own load), when slots exist, when nothing is large enough, and where
 * hosts are crowded with tasks of the role that asks: the dearest case, since then priorities decide who may go.
 */
import { type Bench, type BenchOptions, type Figure, figure } from './bench.ts'
import { FullCluster, WAITING } from './preempt/cluster.ts'

const TARGET_HOSTS = 10_000
const TARGET_PER_SECOND = 1_000

export const bench: Bench = {
  name: 'preempt',
  title: 'searches for preemption slots',
  async run(options) {
    const figures: Figure[] = []
    const sizes = options.quick ? [1_000, 10_000] : [1_000, 10_000, 50_000]
    const counts = options.quick ? [1, 1_000] : [1, 10, 100, 1_000]
    for (const hosts of sizes) {
      options.say(`${hosts} hosts, one task each`)
      const full = new FullCluster({ hosts, siblingShare: 0.1, victimShare: 0.9, victimsPerHost: 1 })
      for (const count of counts) {
        figures.push(
          ...searches(options, `denied-${hosts}-hosts-${count}-tasks`, hosts, () => {
            if (full.search(WAITING.denied, count).slots.length > 0) throw new Error('no host is named denied')
          }),
        )
      }
      for (const count of counts) {
        const wanted = Math.min(count, hosts * 0.9)
        figures.push(
          ...searches(options, `slots-${hosts}-hosts-${count}-tasks`, count === 1 ? hosts : 0, () => {
            const { slots } = full.search(WAITING.fitting, count)
            if (slots.length !== wanted) throw new Error(`${slots.length} slots of ${wanted} were found`)
          }),
        )
      }
      figures.push(
        ...searches(options, `too-large-${hosts}-hosts`, hosts, () => {
          if (full.search(WAITING.large, 1).slots.length > 0) throw new Error('no host has 32 cores')
        }),
      )
      options.say(`${hosts} hosts, ten tasks each`)
      const crowd = new FullCluster({ hosts, siblingShare: 0.1, victimShare: 0.9, victimsPerHost: 10 })
      figures.push(
        ...searches(options, `crowd-slot-${hosts}-hosts`, hosts, () => {
          if (crowd.search(WAITING.fitting, 1).slots.length !== 1) throw new Error('every victim may be preempted')
        }),
      )
      figures.push(
        ...searches(options, `crowd-lowest-priority-${hosts}-hosts`, hosts, () => {
          if (crowd.search(WAITING.lowest, 1).slots.length > 0) throw new Error('nobody has a lower priority')
        }),
      )
      figures.push(
        ...searches(options, `crowd-lower-too-small-${hosts}-hosts`, hosts, () => {
          if (crowd.search(WAITING.equal, 1).slots.length > 0) throw new Error('one task of ten makes no room')
        }),
      )
      figures.push(
        ...searches(options, `crowd-too-large-${hosts}-hosts`, hosts, () => {
          if (crowd.search(WAITING.largePeer, 1).slots.length > 0) throw new Error('no host has 32 cores')
        }),
      )
    }
    return {
      figures,
      notes: [
        'every search is fresh: nothing of it is remembered for the next one, and each has a start of its own',
        'longest: the longest single search of a run, which is how long one turn of the event loop takes with it',
      ],
    }
  },
}

/** Searches per second and the longest one; with the target where the issue sets one. */
function searches({ quick, runs }: BenchOptions, name: string, hosts: number, search: () => void): readonly Figure[] {
  const forMs = quick ? 50 : 300
  const rates: number[] = []
  const longest: number[] = []
  for (let run = -1; run < runs; run++) {
    let searched = 0
    let longestMs = 0
    const startedMs = performance.now()
    let nowMs = startedMs
    do {
      search()
      searched++
      const endedMs = performance.now()
      longestMs = Math.max(longestMs, endedMs - nowMs)
      nowMs = endedMs
    } while (nowMs - startedMs < forMs)
    if (run < 0) continue
    rates.push((searched * 1000) / (nowMs - startedMs))
    longest.push(longestMs)
  }
  const target = hosts === TARGET_HOSTS ? { target: TARGET_PER_SECOND } : {}
  return [
    figure({ name, unit: 'searches/s', better: 'higher', ...target }, rates),
    figure({ name: `${name}-longest`, unit: 'ms', better: 'lower' }, longest),
  ]
}
