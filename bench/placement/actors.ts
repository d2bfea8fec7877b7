/**
 * The actors of placement on the real shell, over a ledger in memory that commits at once: a stream of new tasks and of
 * tasks that end (W7), and a leader that finds a hundred thousand tasks waiting (W10).
 */
import { createPlacement } from '../../src/actors/placement.ts'
import { silentLogger, silentMetrics } from '../../src/actors/ports.ts'
import { createActorSystem } from '../../src/actors/shell.ts'
import type { TaskDirectory } from '../../src/actors/task-state-machine.ts'
import { configId, type TaskId, taskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { InstantLedger } from '../../test/fixtures/instant-ledger.ts'
import { type BenchOptions, type Figure, type FigureSpec, figure, percentile } from '../bench.ts'
import { hostRow, pendingRow, taskConfig } from './cluster.ts'

const STREAM_HOSTS = 20_000
const FAILOVER_HOSTS = 50_000
const CAUSE = { who: 'bench', why: 'bench', wallMs: 1 }
const HOST = { cpusMilli: 16_000, ramMb: 65_536, diskMb: 500_000, gpus: 0 }
const TASK = { cpusMilli: 500, ramMb: 512, diskMb: 1_024, gpus: 0 }
const GROUPS = 200
const TASKS_PER_SECOND = 5_000
const LIFE_MS = 10_000
const TICK_MS = 5
const CONNECTS_PER_TURN = 200
const SINGLES_EVERY_MS = 500
const PENDING = 100_000
const PENDING_GROUPS = 1_000

export async function actorFigures(options: BenchOptions): Promise<readonly Figure[]> {
  return [...(await stream(options)), ...(await failover(options))]
}

type Turn = ReturnType<LongestTurn['end']>

/** Figures of the thirds of one long run. */
async function stream(options: BenchOptions): Promise<readonly Figure[]> {
  const seconds = options.quick ? 6 : 60
  options.say(`w7: ${STREAM_HOSTS} hosts, ${TASKS_PER_SECOND} new tasks a second for ${seconds} s`)
  const scene = new ActorScene(STREAM_HOSTS)
  await scene.begin(0)
  await scene.settled()
  const thirds: { tookMs: number[]; singlesMs: number[]; turn: Turn; cpuMs: number; placed: number }[] = []
  for (let third = 0; third < 3; third++) {
    const cpu = process.cpuUsage()
    const turns = new LongestTurn()
    const { tookMs, singlesMs } = await scene.streamFor((seconds * 1_000) / 3)
    const { user, system } = process.cpuUsage(cpu)
    thirds.push({ tookMs, singlesMs, turn: turns.end(), cpuMs: (user + system) / 1_000, placed: tookMs.length })
  }
  const waiting = scene.waitingCount
  await scene.end()
  if (waiting > TASKS_PER_SECOND) options.say(`w7: ${waiting} tasks were left waiting: the stream is not kept up with`)
  const of = (spec: FigureSpec, pick: (third: (typeof thirds)[number]) => number): Figure =>
    figure(spec, thirds.map(pick))
  return [
    of(
      { name: 'w7-placed', unit: 'placements/s', better: 'higher', target: 0.98 * TASKS_PER_SECOND },
      ({ placed }) => placed / (seconds / 3),
    ),
    of({ name: 'w7-wait-p50', unit: 'ms', better: 'lower', target: 150 }, ({ tookMs }) => percentile(tookMs, 0.5)),
    of({ name: 'w7-wait-p99', unit: 'ms', better: 'lower', target: 1_000 }, ({ tookMs }) => percentile(tookMs, 0.99)),
    of({ name: 'w7-single-task-worst', unit: 'ms', better: 'lower', target: 1_000 }, ({ singlesMs }) =>
      Math.max(...singlesMs),
    ),
    of({ name: 'w7-longest-turn', unit: 'ms', better: 'lower', target: 50 }, ({ turn }) => turn.ms),
    of({ name: 'w7-longest-turn-cpu', unit: 'ms', better: 'lower' }, ({ turn }) => turn.cpuMs),
    of({ name: 'w7-cpu', unit: 'cores', better: 'lower' }, ({ cpuMs }) => cpuMs / ((seconds * 1_000) / 3)),
  ]
}

async function failover(options: BenchOptions): Promise<readonly Figure[]> {
  const pending = options.quick ? PENDING / 10 : PENDING
  options.say(`w10: a new leader of ${FAILOVER_HOSTS} hosts finds ${pending} tasks waiting`)
  const firstMs: number[] = []
  const allMs: number[] = []
  const longest: Turn[] = []
  for (let run = 0; run < 3; run++) {
    const scene = new ActorScene(FAILOVER_HOSTS)
    scene.create(PENDING_GROUPS, pending / PENDING_GROUPS)
    const turns = new LongestTurn()
    const began = performance.now()
    await scene.begin(0)
    await scene.until(1)
    firstMs.push(performance.now() - began)
    await scene.until(pending)
    allMs.push(performance.now() - began)
    longest.push(turns.end())
    await scene.end()
  }
  return [
    figure({ name: 'w10-first-placement', unit: 'ms', better: 'lower' }, firstMs),
    figure({ name: 'w10-all-placed', unit: 'ms', better: 'lower' }, allMs),
    figure(
      { name: 'w10-placed', unit: 'placements/s', better: 'higher' },
      allMs.map(ms => (pending * 1_000) / ms),
    ),
    figure(
      { name: 'w10-longest-turn', unit: 'ms', better: 'lower', target: 50 },
      longest.map(({ ms }) => ms),
    ),
    figure(
      { name: 'w10-longest-turn-cpu', unit: 'ms', better: 'lower' },
      longest.map(({ cpuMs }) => cpuMs),
    ),
  ]
}

/**
 * The longest time for which nobody else on the thread had a turn, and the most processor time of all threads in one: on
 * a machine that does other things a turn that used none of it was merely kept waiting.
 */
class LongestTurn {
  #ms = 0
  #cpuMs = 0
  #isOver = false

  constructor() {
    let last = performance.now()
    let lastCpu = process.cpuUsage()
    const turn = (): void => {
      const now = performance.now()
      const cpu = process.cpuUsage()
      this.#ms = Math.max(this.#ms, now - last)
      this.#cpuMs = Math.max(this.#cpuMs, (cpu.user - lastCpu.user + cpu.system - lastCpu.system) / 1_000)
      last = now
      lastCpu = cpu
      if (!this.#isOver) setImmediate(turn)
    }
    setImmediate(turn)
  }

  end(): { readonly ms: number; readonly cpuMs: number } {
    this.#isOver = true
    return { ms: this.#ms, cpuMs: this.#cpuMs }
  }
}

class ActorScene {
  readonly #ledger = new InstantLedger()
  readonly #failures: unknown[] = []
  readonly #system = createActorSystem({
    name: 'bench',
    clock: { read: () => ({ wallMs: Date.now(), monoMs: performance.now() }) },
    random: prng(1),
    log: silentLogger,
    onEndProcess: error => void this.#failures.push(error),
  })
  /** When each waiting task was created. */
  readonly #sinceMs = new Map<TaskId, number>()
  #singles = new Set<TaskId>()
  /** Placed ones, in the order in which they will end. */
  #running: { readonly id: TaskId; readonly endsMs: number }[] = []
  #tookMs: number[] = []
  #singlesMs: number[] = []
  #placed = 0
  #tasks = 0
  #onPlaced: () => void = () => {}

  constructor(hosts: number) {
    const rows = Array.from({ length: hosts }, (_, i) =>
      hostRow(i, HOST, { host: `host-${i}`, rack: `rack-${i >> 5}` }),
    )
    this.#put(rows.map(row => ({ type: 'put', table: 'agent', key: row.agentId, row })))
  }

  get waitingCount(): number {
    return this.#sinceMs.size
  }

  /** A leader begins, and the agents connect to it, so many in a turn. */
  async begin(startSpreadMs: number): Promise<void> {
    const isConnected = new Set<string>()
    const { broker } = createPlacement({
      parent: this.#system,
      ledger: this.#ledger,
      metrics: silentMetrics,
      tasks: this.#directory(),
      isConnected: id => isConnected.has(id),
      options: { startSpreadMs },
    })
    let left = CONNECTS_PER_TURN
    for (const { agentId } of this.#ledger.view.agents()) {
      isConnected.add(agentId)
      broker.tell({ type: 'agentUp', agentId })
      if (--left > 0) continue
      left = CONNECTS_PER_TURN
      await new Promise(done => setImmediate(done))
    }
  }

  settled(): Promise<void> {
    return this.#system.whenQuiet()
  }

  create(groups: number, each: number): void {
    const nowMs = performance.now()
    const changes: RowChange[] = []
    for (let group = 0; group < groups; group++)
      for (let n = 0; n < each; n++) changes.push(...this.#newTask(`job${group}`, nowMs))
    this.#put(changes)
  }

  async until(placed: number): Promise<void> {
    await new Promise<void>(resolve => {
      this.#onPlaced = () => {
        if (this.#placed >= placed) resolve()
      }
      this.#onPlaced()
    })
    this.#onPlaced = () => {}
    this.#check()
  }

  /** New tasks at the rate, over the groups in turn; what has run for its time ends; now and then a group of one task. */
  async streamFor(ms: number): Promise<{ readonly tookMs: number[]; readonly singlesMs: number[] }> {
    this.#tookMs = []
    this.#singlesMs = []
    const startMs = performance.now()
    let made = 0
    let singles = 0
    await new Promise<void>(resolve => {
      const timer = setInterval(() => {
        const nowMs = performance.now()
        const changes: RowChange[] = []
        const due = (Math.min(nowMs - startMs, ms) / 1_000) * TASKS_PER_SECOND
        for (; made < due; made++) changes.push(...this.#newTask(`job${made % GROUPS}`, nowMs))
        for (; singles * SINGLES_EVERY_MS < nowMs - startMs; singles++) {
          const single = this.#newTask(`single${this.#tasks}`, nowMs)
          this.#singles.add(single.at(-1)!.key as TaskId)
          changes.push(...single)
        }
        let ended = 0
        for (; ended < this.#running.length && this.#running[ended]!.endsMs <= nowMs; ended++) {
          changes.push({ type: 'delete', table: 'task', key: this.#running[ended]!.id })
        }
        this.#running = ended === 0 ? this.#running : this.#running.slice(ended)
        if (changes.length > 0) this.#put(changes)
        if (nowMs - startMs < ms) return
        clearInterval(timer)
        resolve()
      }, TICK_MS)
    })
    this.#check()
    return { tookMs: this.#tookMs, singlesMs: this.#singlesMs }
  }

  async end(): Promise<void> {
    await this.#system.stop()
    this.#check()
  }

  #put(changes: readonly RowChange[]): void {
    this.#ledger.stage({ cause: CAUSE, changes })
  }

  #check(): void {
    if (this.#failures.length > 0) throw new Error('an actor has failed', { cause: this.#failures[0] })
  }

  #newTask(name: string, nowMs: number): readonly RowChange[] {
    const instance = this.#tasks++
    const id = taskId(`t${instance}`)
    const job = { role: 'bench', environment: 'prod', name }
    const config = { v: 1, configId: configId(name), config: taskConfig(job, { resources: TASK }) } as const
    this.#sinceMs.set(id, nowMs)
    return [
      ...(this.#ledger.view.config(config.configId) === undefined
        ? [{ type: 'put', table: 'config', key: name, row: config } as const]
        : []),
      { type: 'put', table: 'task', key: id, row: pendingRow(id, job, instance, config.configId) },
    ]
  }

  /** Each task decides by itself and alone, as its own actor does. */
  #directory(): TaskDirectory {
    return {
      tell: command => {
        if (command.type !== 'assign') return
        const { taskId: id, agentId, host, ports } = command
        const row = this.#ledger.view.task(id)
        if (row?.status !== 'PENDING') throw new Error(`${id} was placed and is ${row?.status}`)
        this.#ledger.put({
          type: 'put',
          table: 'task',
          key: id,
          row: { ...row, status: 'ASSIGNED', agentId, host, ports },
        })
        command.replyTo?.tell({ taskId: id, result: 'SUCCESS' })
        const nowMs = performance.now()
        const waitedMs = nowMs - this.#sinceMs.get(id)!
        this.#sinceMs.delete(id)
        this.#tookMs.push(waitedMs)
        if (this.#singles.delete(id)) this.#singlesMs.push(waitedMs)
        this.#running.push({ id, endsMs: nowMs + LIFE_MS })
        this.#placed++
        this.#onPlaced()
      },
    }
  }
}
