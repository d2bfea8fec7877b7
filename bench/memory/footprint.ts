/** How much memory a leader takes for its tasks, and how long it takes to be there again after its process was killed. */
import { type BenchOptions, type Figure, figure } from '../bench.ts'
import { Writer } from '../cluster/take-over.ts'
import { memoryOf } from '../lifecycle/inspector.ts'
import type { LargeCluster } from '../lifecycle/large-cluster.ts'
import { residentOf } from './cpu.ts'

const GIB = 1_024 ** 3
export const LEADER_BYTES_MAX = 4 * GIB

/**
 * Of the leader of a cluster of one node that has been worked with. `tasks` in all. Figures end with `suffix`; the resident
 * set is looked at before anything makes the node collect its garbage.
 */
export async function footprint(
  cluster: LargeCluster,
  tasks: number,
  suffix: string,
  { say }: BenchOptions,
): Promise<readonly Figure[]> {
  const { node } = await cluster.nodes.leader()
  const resident = residentOf(node.child.pid!)
  const memory = await memoryOf(node)
  say(
    `${tasks} tasks: resident ${gib(resident.all)} GiB (at most ${gib(resident.peak)}), of files ${gib(resident.files)}, heap after collection ${gib(memory.heapUsed)}, outside of it ${gib(memory.external)}`,
  )
  const bytes = { unit: 'bytes', better: 'lower' } as const
  return [
    figure({ name: `leader-rss-${suffix}`, ...bytes, target: LEADER_BYTES_MAX }, [resident.all]),
    figure({ name: `leader-rss-peak-${suffix}`, ...bytes }, [resident.peak]),
    figure({ name: `leader-rss-files-${suffix}`, ...bytes }, [resident.files]),
    figure({ name: `leader-heap-${suffix}`, ...bytes }, [memory.heapUsed]),
    figure({ name: `leader-external-${suffix}`, ...bytes }, [memory.external]),
    figure({ name: `heap-limit-${suffix}`, unit: 'bytes', better: 'higher' }, [memory.heapLimit]),
    figure({ name: `bytes-per-task-${suffix}`, ...bytes }, [memory.heapUsed / tasks]),
  ]
}

/** From the start of the process to ACTIVE, and to the first write that it has made durable. */
export async function starts(
  cluster: LargeCluster,
  suffix: string,
  runs: number,
  { say }: BenchOptions,
): Promise<readonly Figure[]> {
  const activeMs: number[] = []
  const writtenMs: number[] = []
  const writer = new Writer(cluster.nodes, cluster.folder, `started-${suffix}`)
  for (let run = 0; run < runs; run++) {
    await cluster.nodes.nodes[0]!.crash()
    cluster.nodes.nodes[0] = null
    const began = performance.now()
    const node = await cluster.nodes.start(1)
    await active(node.url)
    activeMs.push(performance.now() - began)
    await writer.write(1)
    writtenMs.push(performance.now() - began)
    say(`started: active after ${activeMs.at(-1)!.toFixed(0)} ms, a write after ${writtenMs.at(-1)!.toFixed(0)} ms`)
  }
  return [
    figure({ name: `start-to-active-${suffix}`, unit: 'ms', better: 'lower' }, activeMs),
    figure({ name: `start-to-write-${suffix}`, unit: 'ms', better: 'lower' }, writtenMs),
  ]
}

/** Until the rows are loaded and all actors have begun: before that nothing about tasks is answered. */
export async function active(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(`${url}/api/v1/tasks?limit=1`)
    await answer.arrayBuffer()
    if (answer.ok) return
    if (answer.status !== 503) throw new Error(`a node that starts answers ${answer.status}`)
    await new Promise(done => setTimeout(done, 20))
  }
}

const gib = (bytes: number): string => (bytes / GIB).toFixed(2)
