/** What processes of this machine use, as its kernel and the processes themselves tell. */
import { type Dirent, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { RealNode } from '../../test/fixtures/real-node.ts'
import { MS_PER_TICK, ticksOf } from '../cluster/take-over.ts'
import type { LargeCluster } from '../lifecycle/large-cluster.ts'
import type { NodeSample, Sample } from './soak-report.ts'

const ANSWER_MS_MAX = 5_000
const BLOCK_BYTES = 512

export class Sampler {
  readonly #cluster: LargeCluster
  readonly #beganMs: number
  /** By process, because nodes are restarted. */
  #ticks = new Map<number, number>()
  #lastMs = performance.now()

  constructor(cluster: LargeCluster) {
    this.#cluster = cluster
    this.#beganMs = performance.now()
    this.#cores()
  }

  async sample(): Promise<Sample> {
    const { nodes, dataDirs } = this.#cluster.nodes
    const atS = (performance.now() - this.#beganMs) / 1_000
    const cores = this.#cores()
    return { atS, cores, nodes: await Promise.all(nodes.map((node, at) => sampleOf(node, dataDirs[at]!))) }
  }

  #cores(): number {
    const nowMs = performance.now()
    const ticks = new Map<number, number>()
    let usedTicks = 0
    for (const node of this.#cluster.nodes.nodes) {
      const pid = node?.child.pid
      if (pid === undefined) continue
      try {
        ticks.set(pid, ticksOf(pid))
        usedTicks += ticks.get(pid)! - (this.#ticks.get(pid) ?? 0)
      } catch {
        // It has just ended.
      }
    }
    const cores = (usedTicks * MS_PER_TICK) / Math.max(1, nowMs - this.#lastMs)
    this.#ticks = ticks
    this.#lastMs = nowMs
    return cores
  }
}

/** Null for a node that is down, or that ends meanwhile. */
async function sampleOf(node: RealNode | null, dataDir: string): Promise<NodeSample | null> {
  const pid = node?.child.pid
  if (node === null || pid === undefined) return null
  try {
    const answered = await fetch(`${node.url}/vars`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) })
    const heap = /^process_heap_used_bytes (\S+)$/m.exec(await answered.text())?.[1]
    const rssKib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    const files = [...filesUnder(dataDir)]
    const bytes = (some: readonly string[]): number => some.reduce((sum, path) => sum + bytesOf(path), 0)
    return {
      rssBytes: Number(rssKib) * 1_024,
      heapBytes: Number(heap),
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      lmdbBytes: bytes(files.filter(path => path.endsWith('.mdb'))),
      folderBytes: bytes(files),
    }
  } catch {
    return null
  }
}

function* filesUnder(folder: string): Generator<string> {
  let entries: Dirent[]
  try {
    entries = readdirSync(folder, { withFileTypes: true })
  } catch {
    return
  }
  for (const entry of entries) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesUnder(path)
    else if (entry.isFile()) yield path
  }
}

/** On the disk: a file may have holes. */
function bytesOf(path: string): number {
  return (statSync(path, { throwIfNoEntry: false })?.blocks ?? 0) * BLOCK_BYTES
}
