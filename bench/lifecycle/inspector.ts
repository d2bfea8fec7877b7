/** What a node's inspector tells of its main thread, which is the scheduler's. The node must run with `--inspect`. */
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import type { RealNode } from '../../test/fixtures/real-node.ts'

interface Said {
  readonly id?: number
  readonly result?: {
    readonly usedSize?: number
    readonly profile?: object
    readonly result?: { readonly value?: unknown }
  }
}

/** Bytes in use after a collection, buffers outside the heap not included. */
export async function heapBytesOf(node: RealNode): Promise<number> {
  const inspector = await Inspector.of(node)
  try {
    // Twice: what the first frees may hold on to more.
    await inspector.ask('HeapProfiler.collectGarbage')
    await inspector.ask('HeapProfiler.collectGarbage')
    const { usedSize } = await inspector.ask('Runtime.getHeapUsage')
    if (usedSize === undefined) throw new Error('the inspector did not tell how large the heap is')
    return usedSize
  } finally {
    inspector.close()
  }
}

export interface NodeMemory {
  /** Bytes, after collections. */
  readonly heapUsed: number
  /** Of buffers and the like, which the heap refers to. */
  readonly external: number
  /** What the heap may grow to. */
  readonly heapLimit: number
}

/** Of the main thread. */
export async function memoryOf(node: RealNode): Promise<NodeMemory> {
  const heapUsed = await heapBytesOf(node)
  const inspector = await Inspector.of(node)
  try {
    const expression = `JSON.stringify({
      external: process.memoryUsage().external,
      heapLimit: process.getBuiltinModule('node:v8').getHeapStatistics().heap_size_limit,
    })`
    const { result } = await inspector.ask('Runtime.evaluate', { expression })
    if (typeof result?.value !== 'string') throw new Error('the inspector did not tell how much memory there is')
    return { heapUsed, ...(JSON.parse(result.value) as Omit<NodeMemory, 'heapUsed'>) }
  } finally {
    inspector.close()
  }
}

/** With DAYBREAK_BENCH_PROFILE set, leaves a CPU profile of the node in that folder. Figures are lower for it. */
export async function profiled<T>(node: RealNode, name: string, work: () => Promise<T>): Promise<T> {
  const folder = process.env.DAYBREAK_BENCH_PROFILE
  if (folder === undefined) return work()
  const inspector = await Inspector.of(node)
  try {
    await inspector.ask('Profiler.enable')
    await inspector.ask('Profiler.start')
    const done = await work()
    const { profile } = await inspector.ask('Profiler.stop')
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `${name}.cpuprofile`), JSON.stringify(profile))
    return done
  } finally {
    inspector.close()
  }
}

class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (said: Said) => void>()
  #asked = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => {
      const said = JSON.parse(data.toString('utf8')) as Said
      if (said.id !== undefined) this.#waiting.get(said.id)?.(said)
    })
  }

  static async of(node: RealNode): Promise<Inspector> {
    const address = /Debugger listening on (ws:\/\/\S+)/.exec(node.output())?.[1]
    if (address === undefined) throw new Error('the node does not say where its inspector listens')
    const socket = new WebSocket(address, { perMessageDeflate: false })
    await once(socket, 'open')
    return new Inspector(socket)
  }

  ask(method: string, params: object = {}): Promise<NonNullable<Said['result']>> {
    const id = ++this.#asked
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result = {} }) => resolve(result))
      this.#socket.once('close', () => reject(new Error(`the node has ended before it answered ${method}`)))
      this.#socket.send(JSON.stringify({ id, method, params }))
    })
  }

  close(): void {
    this.#socket.terminate()
  }
}
