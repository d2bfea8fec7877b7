import { describe, expect, test } from 'vitest'
import type { Ref } from '../../src/actors/actor.ts'
import type * as Backup from '../../src/actors/backup.ts'
import { type BackupOptions, backupSpec } from '../../src/actors/backup.ts'
import { type BackupFile, type BackupFolder, BackupTrouble } from '../../src/actors/backup-ports.ts'
import type { Metrics, StoredRow } from '../../src/actors/ports.ts'
import { createSimSystem, type SimSystem } from '../../src/actors/sim-shell.ts'
import { backupName } from '../../src/core/backup/backup-name.ts'
import { agentId, taskId } from '../../src/core/base/ids.ts'
import type { Rejection } from '../../src/core/base/rejection.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { changeBytes } from '../../src/wire/ledger-rows.ts'
import { InstantLedger } from '../fixtures/instant-ledger.ts'
import { configRow, jobRow, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const HOUR = 3_600_000
const START = Date.UTC(2026, 10, 27, 15)

/** A folder in memory; its rows are those of the test. */
class MemoryFolder implements BackupFolder {
  readonly path = '/backups'
  files: BackupFile[] = []
  rows: readonly StoredRow[] = []
  /** What the next write ends with, if not well. */
  trouble: string | null = null
  /** While set, writes do not end. */
  gate: Promise<void> | null = null
  writes = 0
  readonly removed: string[] = []
  readonly #sim: SimSystem

  constructor(sim: SimSystem) {
    this.#sim = sim
  }
  async clean(): Promise<void> {}
  async list(): Promise<readonly BackupFile[]> {
    return [...this.files]
  }
  async write(position: number): Promise<BackupFile> {
    this.writes++
    await this.gate
    if (this.trouble !== null) throw new BackupTrouble('notWritten', this.trouble)
    const atMs = this.#sim.clock.read().wallMs
    const file = { name: backupName(atMs, position), atMs, position, bytes: 9 }
    this.files.push(file)
    return file
  }
  async remove(name: string): Promise<void> {
    this.removed.push(name)
    this.files = this.files.filter(file => file.name !== name)
  }
  async read(name: string, take: (rows: readonly StoredRow[]) => void): Promise<void> {
    if (!this.files.some(file => file.name === name)) {
      throw new BackupTrouble('missing', `Backup ${name} does not exist.`)
    }
    for (const row of this.rows) take([row])
  }
}

class Bench {
  readonly sim = createSimSystem({ seed: 1, startWallMs: START })
  readonly ledger = new InstantLedger()
  readonly folder = new MemoryFolder(this.sim)
  readonly schedule = { lastMonoMs: this.sim.clock.read().monoMs }
  readonly counts = new Map<string, number>()
  readonly resigned: string[] = []
  #ref!: Ref<Backup.Command>
  #requests = 0

  static async start(options: Partial<BackupOptions> = {}): Promise<Bench> {
    const it = new Bench()
    await it.spawn(options)
    return it
  }
  async spawn(options: Partial<BackupOptions> = {}): Promise<void> {
    const metrics: Metrics = {
      count: (name, by = 1) => void this.counts.set(name, (this.counts.get(name) ?? 0) + by),
      gauge: () => {},
      observe: () => {},
    }
    this.#ref = this.sim.spawn(
      backupSpec({
        ledger: this.ledger,
        folder: this.folder,
        schedule: this.schedule,
        intervalMs: HOUR,
        keep: 48,
        schedulerName: 'n1',
        uuid: () => 'uuid',
        resign: (reason, last) => {
          this.resigned.push(reason)
          void last()
        },
        metrics,
        ...options,
      }),
    )
    await this.sim.settle()
  }
  async ask<A>(command: object): Promise<A | Rejection> {
    const said: (A | Rejection)[] = []
    const replyTo = { path: 'test', tell: (answer: A | Rejection) => said.push(answer) > 0 }
    const requestId = `r${++this.#requests}`
    this.#ref.tell({ requestId, fingerprint: 'f', user: 'bob', replyTo, ...command } as unknown as Backup.Command)
    await this.sim.settle()
    return said[0] as A | Rejection
  }
  /** Time goes by, and what then is written is written. */
  async pass(ms: number): Promise<void> {
    this.sim.advance(ms)
    await this.sim.settle()
  }
  now = () => this.ask<Backup.Written>({ type: 'backupNow' })
  stage = (name: string) => this.ask<Backup.Staged>({ type: 'stage', name })
  diff = async () => (await this.ask<Backup.Differs>({ type: 'diff' })) as Backup.Differs
  commit = (more: object = {}) => this.ask<Backup.Restored>({ type: 'commit', digest: null, reason: '', ...more })
  /** A backup that holds these rows, already staged. */
  async staged(...changes: readonly RowChange[]): Promise<void> {
    this.folder.rows = changes.map(changeBytes) as readonly StoredRow[]
    const { file } = (await this.now()) as Backup.Written
    expect(await this.stage(file.name)).toMatchObject({ type: 'staged' })
  }
}

const running = (id: string, instance = 0): RowChange =>
  putTask(taskRow(id, { instance, status: 'RUNNING', agentId: agentId('a'), host: 'h' }))
const ids = ({ ledger }: Bench): readonly string[] => [...ledger.view.tasks()].map(task => task.taskId)

describe('taking backups', () => {
  test('life-63: interval 1 h: none at 59:59.999, one at 1:00:00, and the next an hour later', async () => {
    const it = await Bench.start()
    await it.pass(HOUR - 1)
    expect(it.folder.writes).toBe(0)
    await it.pass(1)
    expect(it.folder.writes).toBe(1)
    await it.pass(HOUR - 1)
    expect(it.folder.writes).toBe(1)
    await it.pass(1)
    expect(it.folder.writes).toBe(2)
    expect(it.counts.get('scheduler_backup_success')).toBe(2)
  })

  test('life-63: a reign that begins 3 h after the process: one backup at once, and none right after', async () => {
    const it = new Bench()
    await it.pass(3 * HOUR)
    await it.spawn()
    await it.pass(1_000)
    expect(it.folder.writes).toBe(1)
    await it.pass(HOUR - 2_000)
    expect(it.folder.writes).toBe(1)
  })

  test('asked for by hand: at once, and the next comes an interval after it', async () => {
    const it = await Bench.start()
    await it.pass(HOUR / 2)
    it.ledger.applied = 7
    expect(await it.now()).toMatchObject({ type: 'written', file: { position: 7 } })
    await it.pass(HOUR - 1)
    expect(it.folder.writes).toBe(1)
    await it.pass(1)
    expect(it.folder.writes).toBe(2)
  })

  test('asked for while one is being written: another follows, since the first may lack what was just done', async () => {
    const it = await Bench.start()
    let open = (): void => {}
    it.folder.gate = new Promise(resolve => {
      open = resolve
    })
    await it.pass(HOUR)
    const asked = it.now()
    expect(await asked).toBeUndefined()
    expect(it.folder.writes).toBe(1)
    it.folder.gate = null
    open()
    await it.sim.settle()
    expect(it.folder.writes).toBe(2)
  })

  test('a write that takes longer than the interval: nothing else begins meanwhile, the next comes right after', async () => {
    const it = await Bench.start()
    let open = (): void => {}
    it.folder.gate = new Promise(resolve => {
      open = resolve
    })
    await it.pass(HOUR)
    await it.pass(2 * HOUR)
    expect(it.folder.writes).toBe(1)
    it.folder.gate = null
    open()
    await it.pass(0)
    await it.pass(1)
    expect(it.folder.writes).toBe(2)
    await it.pass(HOUR - 2)
    expect(it.folder.writes).toBe(2)
  })

  test('asked again under the same request id: the first answer, and no second backup', async () => {
    const it = await Bench.start()
    const first = await it.ask<Backup.Written>({ type: 'backupNow', requestId: 'same' })
    expect(await it.ask({ type: 'backupNow', requestId: 'same' })).toEqual(first)
    expect(it.folder.writes).toBe(1)
    expect(await it.ask({ type: 'stage', name: 'x', requestId: 'same', fingerprint: 'g' })).toMatchObject({
      code: 'INVALID_REQUEST',
    })
  })

  test('life-64: keep 5 and 6 saves: the oldest name is gone', async () => {
    const it = await Bench.start({ keep: 5 })
    for (let n = 0; n < 6; n++) await it.pass(HOUR)
    expect(it.folder.files.length).toBe(5)
    expect(it.folder.removed).toEqual([backupName(START + HOUR, 0)])
  })

  test('life-65: a write fails: counted and told, the scheduler goes on, and the next is tried at its time', async () => {
    const it = await Bench.start()
    it.folder.trouble = 'no such folder'
    expect(await it.now()).toMatchObject({ type: 'rejected', code: 'BACKUP_FAILED', detail: 'no such folder' })
    expect(it.counts.get('scheduler_backup_failed')).toBe(1)
    const summary = () => it.sim.inspection.actors().find(({ kind }) => kind === 'Backup')?.stateSummary
    expect(summary()).toMatchObject({ trouble: 'no such folder' })
    it.folder.trouble = null
    await it.pass(HOUR)
    expect(it.counts.get('scheduler_backup_success')).toBe(1)
    expect(summary()).toMatchObject({ trouble: null })
  })
})

describe('bringing one back', () => {
  test('life-66: stage, drop one task, commit: the rows are all but that task, and the reign ends', async () => {
    const it = await Bench.start()
    it.ledger.put(putConfig(configRow()), running('stray', 5))
    await it.staged(putConfig(configRow()), putJob(jobRow()), running('a'), running('b', 1))
    expect(await it.ask({ type: 'show', query: {} })).toMatchObject({
      tasks: [{ taskId: 'a' }, { taskId: 'b' }],
      configs: new Map([['c1', configRow().config]]),
    })
    expect(await it.ask({ type: 'drop', query: { taskIds: [taskId('b')] } })).toMatchObject({ tasks: 1, dropped: 1 })
    const { plan } = await it.diff()
    expect(plan.consequences.killed.map(task => task.taskId)).toEqual(['stray'])
    expect(await it.commit({ digest: plan.consequences.digest, reason: 'oops' })).toMatchObject({
      type: 'restored',
      killed: 1,
      lost: 1,
    })
    expect(ids(it)).toEqual(['a'])
    expect(it.ledger.view.counts.jobs).toBe(1)
    expect(it.resigned).toEqual([expect.stringMatching(/^restore of scheduler-backup-.*: oops$/)])
  })

  test('life-66: without a staged one: No backup loaded.; a second one: Another backup is already loaded.; an unknown name', async () => {
    const it = await Bench.start()
    for (const command of [{ type: 'show', query: {} }, { type: 'drop', query: {} }, { type: 'diff' }]) {
      expect(await it.ask(command)).toMatchObject({ code: 'BACKUP_NOT_LOADED', detail: 'No backup loaded.' })
    }
    expect(await it.commit()).toMatchObject({ detail: 'No backup loaded.' })
    expect(await it.stage('nothing')).toMatchObject({ code: 'NOT_FOUND', detail: 'Backup nothing does not exist.' })
    await it.staged()
    const { name } = it.folder.files[0] as BackupFile
    expect(await it.stage(name)).toMatchObject({ detail: 'Another backup is already loaded.' })
    expect(await it.ask({ type: 'unload' })).toMatchObject({ name: null })
    expect(await it.ask({ type: 'unload' })).toMatchObject({ name: null })
    expect(await it.stage(name)).toMatchObject({ name })
  })

  test('the state has moved on since the diff: refused; with the new digest, or forced: done', async () => {
    const it = await Bench.start()
    it.ledger.put(putConfig(configRow()))
    await it.staged(putConfig(configRow()), running('a'))
    const { plan } = await it.diff()
    it.ledger.put(running('started', 1))
    expect(await it.commit({ digest: plan.consequences.digest })).toMatchObject({ code: 'STATE_MOVED' })
    expect(ids(it)).toEqual(['started'])
    expect(it.resigned).toEqual([])
    const again = (await it.diff()).plan.consequences.digest
    expect(await it.commit({ digest: again })).toMatchObject({ type: 'restored' })
    expect(ids(it)).toEqual(['a'])
  })

  test('asked again after the commit, of the next reign: the stored answer, and nothing is done twice', async () => {
    const it = await Bench.start()
    await it.staged(putConfig(configRow()), running('a'))
    const first = await it.commit({ requestId: 'same' })
    expect(await it.commit({ requestId: 'same' })).toEqual(first)
    expect(it.resigned.length).toBe(1)
  })

  test('rows that are damaged, or of a later release: Failed to decode backup, and nothing is loaded', async () => {
    const it = await Bench.start()
    const { file } = (await it.now()) as Backup.Written
    it.folder.rows = [{ table: 200, key: 'k', bytes: new Uint8Array(1) }]
    expect(await it.stage(file.name)).toMatchObject({
      code: 'BACKUP_FAILED',
      detail: expect.stringContaining(`Failed to decode backup ${file.name}: `),
    })
    expect(await it.ask({ type: 'list' })).toMatchObject({ staged: null, files: [{ name: file.name }] })
  })

  test('the ledger takes nothing in: refused, and the reign goes on', async () => {
    const it = await Bench.start()
    await it.staged(putConfig(configRow()), running('a'))
    it.ledger.refused = { type: 'rejected', code: 'BUSY', detail: 'full' }
    expect(await it.commit()).toMatchObject({ code: 'BUSY' })
    expect(it.resigned).toEqual([])
  })
})
