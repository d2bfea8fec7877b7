/**
 * Real scheduler processes with a large state, three unless another number is asked for, and a process of simulated agents. None of them outlives the
 * benchmark, and one that ends by itself ends the benchmark with what it said.
 */
import { type ChildProcess, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type RealCluster, startRealCluster } from '../../test/fixtures/real-cluster.ts'
import { eventually } from '../../test/fixtures/real-node.ts'
import { level, MS_PER_TICK, ticksOf } from '../cluster/take-over.ts'
import { Child } from '../log/child.ts'
import type { AgentQuestions } from './agents.ts'
import { fill } from './fill.ts'
import { agentIdOf, hostOf, type Sizes } from './rows.ts'

const END_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const SAME_SIGNAL_MS = 1_000

export interface Interruptible {
  /** Told of the first signal to end, after which `work` ends soon by itself; the second ends the process as ever. */
  readonly onInterrupt: () => void
}

export class LargeCluster {
  readonly folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-lifecycle-'))
  readonly #children = new Set<ChildProcess>()
  readonly #endings: (() => void)[] = []
  readonly #members: number
  readonly #isLaunched: boolean
  #nodes: RealCluster | null = null
  #agents: Child<AgentQuestions> | null = null
  #fail: (cause: Error) => void = () => {}
  readonly #failure = new Promise<never>((_, reject) => {
    this.#fail = reject
  })

  private constructor(members: number, isLaunched: boolean) {
    this.#members = members
    this.#isLaunched = isLaunched
  }

  /** Runs `work` on a cluster of that state; cleans up whatever happens. `isLaunched`: by `bin/daybreak`, as users start it. */
  static async with<T>(
    sizes: Sizes,
    flags: readonly string[],
    work: (cluster: LargeCluster) => Promise<T>,
    {
      members = 3,
      interruptible = null,
      isLaunched = false,
    }: {
      readonly members?: number
      readonly interruptible?: Interruptible | null
      readonly isLaunched?: boolean
    } = {},
  ): Promise<T> {
    const cluster = new LargeCluster(members, isLaunched)
    try {
      cluster.#guard(interruptible)
      return await Promise.race([cluster.#failure, cluster.#open(sizes, flags).then(() => work(cluster))])
    } finally {
      await cluster.#end()
    }
  }

  get nodes(): RealCluster {
    return this.#nodes!
  }
  get agents(): Child<AgentQuestions> {
    return this.#agents!
  }

  /** Milliseconds of CPU that all nodes have used so far. */
  cpuMs(): number {
    return this.nodes.nodes.reduce((sum, node) => sum + (node === null ? 0 : ticksOf(node.child.pid!)), 0) * MS_PER_TICK
  }

  async connectAgents({ agents }: Pick<Sizes, 'agents'>): Promise<void> {
    this.#agents = new Child<AgentQuestions>(new URL('./agents.js', import.meta.url), 'agents')
    await this.#agents.ask('connect', {
      urls: this.nodes.urls,
      secret: readFileSync(join(this.folder, 'secret'), 'utf8').trim(),
      agents: Array.from({ length: agents }, (_, at) => ({ id: agentIdOf(at), host: hostOf(at) })),
    })
  }

  async stopNodes(): Promise<void> {
    await Promise.all(this.nodes.nodes.map(node => node?.stop()))
    this.nodes.nodes.fill(null)
  }
  async startNodes(): Promise<void> {
    await Promise.all(Array.from({ length: this.#members }, (_, at) => this.nodes.start(at + 1)))
  }

  async #open(sizes: Sizes, flags: readonly string[]): Promise<void> {
    // Node has no way to end a child with its parent; this has, where it is installed.
    const isThere = (command: string): boolean => spawnSync(command, ['--version']).status === 0
    const within = [
      // Apart from the terminal, so that nodes are ended by the benchmark and in its order.
      ...(isThere('setsid') ? ['setsid'] : []),
      ...(isThere('setpriv') ? ['setpriv', '--pdeathsig', 'KILL'] : []),
    ]
    const placement = {
      within: () => within,
      onSpawn: (who: number | 'agent', child: ChildProcess) => this.#watch(`node ${who}`, child),
      isLaunched: this.#isLaunched,
      env: () => ({ NODE_OPTIONS: `${process.env.NODE_OPTIONS ?? ''} --inspect=127.0.0.1:0` }),
    }
    this.#nodes = await startRealCluster(this.folder, this.#members, placement, flags)
    // The tasks here are those of simulated agents; the real one would be given some.
    await this.#nodes.agent().crash()
    await this.stopNodes()
    await fill(this.#nodes.configs, sizes)
    await this.startNodes()
    await this.nodes.leader()
    await level(this.nodes)
  }

  #watch(name: string, child: ChildProcess): void {
    this.#children.add(child)
    let said = ''
    const listen = (chunk: Buffer): void => {
      said = (said + chunk.toString('utf8')).slice(-4_000)
    }
    child.stdout?.on('data', listen)
    child.stderr?.on('data', listen)
    child.once('exit', (code, signal) => {
      this.#children.delete(child)
      // Ended by us it has been signalled by us.
      if (!child.killed) this.#fail(new Error(`${name} has ended by itself: ${code ?? signal}\n${said}`))
    })
  }

  #guard(interruptible: Interruptible | null): void {
    this.#failure.catch(() => {})
    const killAll = (): void => {
      for (const child of this.#children) child.kill('SIGKILL')
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
    }
    let toldMs: number | null = interruptible === null ? Number.NEGATIVE_INFINITY : null
    const interrupted = (): void => {
      // A terminal and the program that started this one may both tell of the same wish.
      if (toldMs !== null && performance.now() - toldMs > SAME_SIGNAL_MS) process.exit(130)
      if (toldMs !== null) return
      toldMs = performance.now()
      interruptible?.onInterrupt()
    }
    process.once('exit', killAll)
    for (const signal of END_SIGNALS) process.on(signal, interrupted)
    this.#endings.push(() => {
      process.off('exit', killAll)
      for (const signal of END_SIGNALS) process.off(signal, interrupted)
    })
  }

  async #end(): Promise<void> {
    await this.#agents?.end('SIGKILL')
    await this.#nodes?.end()
    // Those that were not up yet when something failed.
    for (const child of this.#children) child.kill('SIGKILL')
    await eventually(
      async () => this.#children.size,
      size => size === 0,
    )
    for (const ending of this.#endings) ending()
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
