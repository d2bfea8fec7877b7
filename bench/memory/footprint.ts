/** How much memory a leader takes for its tasks, and how long it takes to be there again after its process was killed. */
import { type BenchOptions, type Figure, figure } from '../bench.ts'
import { Writer } from '../cluster/take-over.ts'
import { memoryOf } from '../lifecycle/inspector.ts'
import type { LargeCluster } from '../lifecycle/large-cluster.ts'
import { residentOf } from './cpu.ts'

const MIB = 1_024 ** 2
const LEADER_MIB_MAX = 4_096

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
  const mib = { unit: 'MiB', better: 'lower' } as const
  return [
    figure({ name: `leader-rss-${suffix}`, ...mib, target: LEADER_MIB_MAX }, [resident.all / MIB]),
    figure({ name: `leader-rss-peak-${suffix}`, ...mib }, [resident.peak / MIB]),
    figure({ name: `leader-rss-files-${suffix}`, ...mib }, [resident.files / MIB]),
    figure({ name: `leader-heap-${suffix}`, ...mib }, [memory.heapUsed / MIB]),
    figure({ name: `leader-external-${suffix}`, ...mib }, [memory.external / MIB]),
    figure({ name: `heap-limit-${suffix}`, unit: 'MiB', better: 'higher' }, [memory.heapLimit / MIB]),
    figure({ name: `bytes-per-task-${suffix}`, unit: 'bytes', better: 'lower' }, [memory.heapUsed / tasks]),
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

const gib = (bytes: number): string => (bytes / MIB / 1_024).toFixed(2)
