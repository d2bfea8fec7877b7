/** What a node's inspector tells of its threads; the main one is the scheduler's. The node must run with `--inspect`. */
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WebSocket } from 'ws'
import type { RealNode } from '../../test/fixtures/real-node.ts'
import { PROFILE_VARIABLE } from '../profile/profiler.ts'

interface Said {
  readonly id?: number
  readonly result?: {
    readonly usedSize?: number
    readonly profile?: object
    readonly result?: { readonly value?: unknown }
  }
  readonly method?: string
  /** Of a message about another thread; `message` is what that thread says itself. */
  readonly params?: {
    readonly sessionId: string
    readonly workerInfo?: { readonly url: string }
    readonly message?: string
  }
}

interface WorkerThread {
  readonly session: string
  /** What it runs. */
  readonly url: string
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

/**
 * Under `--profile`, leaves CPU profiles of all the node's threads in the folder of the bench: `<name>.cpuprofile` of the
 * scheduler's, `<name>-log-thread.cpuprofile` and so on of the others. Figures are lower for it.
 */
export async function profiled<T>(node: RealNode, name: string, work: () => Promise<T>): Promise<T> {
  const folder = process.env[PROFILE_VARIABLE]
  if (folder === undefined) return work()
  const inspector = await Inspector.of(node)
  try {
    const threads = [{ name, ask: (method: string) => inspector.ask(method) }]
    for (const { url, session } of await inspector.workers()) {
      const file = url.slice(url.lastIndexOf('/') + 1).replace(/\.js$/, '')
      threads.push({ name: `${name}-${file}`, ask: method => inspector.askWorker(session, method) })
    }
    for (const { ask } of threads) {
      await ask('Profiler.enable')
      await ask('Profiler.start')
    }
    const done = await work()
    mkdirSync(folder, { recursive: true })
    for (const { name, ask } of threads) {
      const { profile } = await ask('Profiler.stop')
      writeFileSync(join(folder, `${name}.cpuprofile`), JSON.stringify(profile))
    }
    return done
  } finally {
    inspector.close()
  }
}

class Inspector {
  readonly #socket: WebSocket
  readonly #waiting = new Map<number, (said: Said) => void>()
  readonly #workers: WorkerThread[] = []
  #asked = 0

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#onSaid(JSON.parse(data.toString('utf8')) as Said))
  }

  #onSaid(said: Said): void {
    if (said.id !== undefined) this.#waiting.get(said.id)?.(said)
    if (said.params === undefined) return
    const { sessionId: session, workerInfo, message } = said.params
    if (said.method === 'NodeWorker.attachedToWorker' && workerInfo)
      this.#workers.push({ session, url: workerInfo.url })
    if (said.method === 'NodeWorker.receivedMessageFromWorker' && message) this.#onSaid(JSON.parse(message) as Said)
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
    return this.#answer(id, method, () => this.#socket.send(JSON.stringify({ id, method, params })))
  }

  /** The other threads of the node. */
  async workers(): Promise<readonly WorkerThread[]> {
    await this.ask('NodeWorker.enable', { waitForDebuggerOnStart: false })
    return [...this.#workers]
  }

  askWorker(sessionId: string, method: string): Promise<NonNullable<Said['result']>> {
    const id = ++this.#asked
    const message = JSON.stringify({ id, method })
    return this.#answer(id, method, () => void this.ask('NodeWorker.sendMessageToWorker', { sessionId, message }))
  }

  #answer(id: number, method: string, send: () => void): Promise<NonNullable<Said['result']>> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result = {} }) => resolve(result))
      this.#socket.once('close', () => reject(new Error(`the node has ended before it answered ${method}`)))
      send()
    })
  }

  close(): void {
    this.#socket.terminate()
  }
}
