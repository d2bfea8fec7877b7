/** Backups on a real disk, of a real log thread's tables. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { StagedBackup } from '../../src/actors/backup/staged-backup.ts'
import { type StoredRow, silentLogger } from '../../src/actors/ports.ts'
import { batchPayload, encodeTransaction } from '../../src/core/ledger/payload.ts'
import { type BackupFolderOptions, backupFolder } from '../../src/runtime/backup-folder.ts'
import { type LogThread, openLogThread } from '../../src/runtime/log/log-client.ts'
import { changeBytes } from '../../src/wire/ledger-rows.ts'
import { CAUSE, configRow, jobRow, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'

const CLUSTER = '000000000000000000000000000000c1'
let root: string
let log: LogThread
let path: string

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'daybreak-backup-'))
  path = join(root, 'backups')
  mkdirSync(path)
  log = await openLogThread({
    path: join(root, 'log'),
    memberId: 1,
    clusterId: CLUSTER,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: '',
    configFile: '',
    autoBootstrap: true,
    space: { reserveBytes: 0, alarmBytes: 0, ballastBytes: 0 },
  })
  await new Promise<void>((resolve, reject) => {
    const viewChanged = ({ role }: { role: string }): void => void (role === 'LEADER' && resolve())
    log.start({ viewChanged, committed: () => {}, writable: () => {} }).catch(reject)
  })
})
afterEach(async () => {
  await log.stop()
  await log.terminate()
  rmSync(root, { recursive: true, force: true })
})

/** Of the clock: each look is a second later. */
let seconds = Date.UTC(2026, 10, 27, 15) / 1_000
function folder(more: Partial<BackupFolderOptions> = {}) {
  return backupFolder({
    path,
    rows: log.rows,
    clusterId: () => CLUSTER,
    software: '0.1.0',
    reserveBytes: 0,
    clock: { read: () => ({ wallMs: ++seconds * 1_000, monoMs: performance.now() }) },
    logger: silentLogger,
    ...more,
  })
}

async function append(count: number): Promise<number> {
  const changes = [putConfig(configRow()), putJob(jobRow())]
  for (let n = 0; n < count; n++) changes.push(putTask(taskRow(`t${n}`, { instance: n, host: `h-é-${n}` })))
  const result = await log.append(batchPayload([encodeTransaction(CAUSE, changes.map(changeBytes))]))
  if (result.type !== 'ok') throw new Error(result.type)
  return result.position
}
async function rowsIn(name: string, from = folder()): Promise<readonly StoredRow[]> {
  const rows: StoredRow[] = []
  await from.read(name, page => void rows.push(...page))
  return rows
}
const textOf = ({ table, key, bytes }: StoredRow): string => `${table} ${key} ${Buffer.from(bytes).toString('hex')}`
const files = (): readonly string[] => readdirSync(path).sort()

describe('written and read', () => {
  test('rows of many pages: all of them, as of the position that was asked for', async () => {
    const position = await append(2_000)
    const file = await folder().write(position)
    expect(file).toMatchObject({ position, bytes: readFileSync(join(path, file.name)).length })
    expect(files()).toEqual([file.name])
    const { rows } = await log.readRows(null, 10_000)
    expect((await rowsIn(file.name)).map(textOf)).toEqual(rows.map(textOf))
    const staged = await StagedBackup.read(folder(), file.name)
    expect(staged.view.counts).toEqual({ tasks: 2_000, jobs: 1, agents: 0, configs: 1 })
  })

  test('what is written while a backup is being read is not in it', async () => {
    const position = await append(500)
    let header = await log.rows.begin(position)
    while (header === null) header = await log.rows.begin(position)
    await append(1_500)
    let rows = 0
    for (let done = false; !done; ) {
      const page = await log.rows.page(header.id)
      rows += page.rows[1] ?? 0
      done = page.done
    }
    await log.rows.end(header.id)
    expect(rows).toBe(500)
    await expect(log.rows.page(header.id)).rejects.toThrow('given up')
  })

  test('an empty cluster: a whole backup without rows', async () => {
    const { name } = await folder().write(0)
    expect(await rowsIn(name)).toEqual([])
  })

  test('life-64: foreign files are neither listed nor touched, whatever they are called', async () => {
    const foreign = ['notes.txt', 'scheduler-backup-2026-11-27-15-04', 'temp_notes']
    for (const name of foreign) writeFileSync(join(path, name), 'x')
    const { name } = await folder().write(0)
    writeFileSync(join(path, `temp_${name}`), 'half')
    mkdirSync(join(path, name.replace('20261127', '20261128')))
    await folder().clean()
    expect((await folder().list()).map(file => file.name)).toEqual([name])
    expect(files()).toEqual([...foreign, name, name.replace('20261127', '20261128')].sort())
  })
})

describe('what cannot be written', () => {
  test('life-65: the folder was deleted: told with its path, and no temporary file anywhere', async () => {
    rmSync(path, { recursive: true })
    await expect(folder().write(0)).rejects.toThrow(new RegExp(`could not be written to ${path}: .*ENOENT`))
    await expect(folder().list()).rejects.toThrow(`The backup folder ${path} cannot be read`)
    expect(existsSync(path)).toBe(false)
    mkdirSync(path)
    expect((await folder().write(0)).position).toBeGreaterThan(0)
  })

  test('a disk without room, also in the middle: refused before the room of the log is taken, and nothing is left', async () => {
    const position = await append(2_000)
    await expect(folder({ reserveBytes: 2 ** 52 }).write(0)).rejects.toThrow('are to stay')
    let pages = 0
    const rows = {
      ...log.rows,
      page: (id: string) => {
        if (++pages === 2) throw new Error('ENOSPC: no space left on device, write')
        return log.rows.page(id)
      },
    }
    await expect(folder({ rows }).write(position)).rejects.toThrow('ENOSPC')
    expect(pages).toBe(2)
    expect(files()).toEqual([])
  })

  test('what was read back is not what was written: no backup of that name', async () => {
    const rows = {
      ...log.rows,
      begin: async (position: number) => {
        const header = await log.rows.begin(position)
        return header === null ? null : { ...header, rowsDigest: 1 }
      },
    }
    await append(1)
    await expect(folder({ rows }).write(0)).rejects.toThrow('digest')
    expect(files()).toEqual([])
  })
})

describe('what cannot be read', () => {
  test('any byte changed, or any end cut off: Failed to decode backup, with its name', async () => {
    const { name } = await folder().write(await append(3))
    const whole = readFileSync(join(path, name))
    for (let at = 0; at < whole.length; at += 7) {
      const bytes = Buffer.from(whole)
      bytes[at]! ^= 0x10
      writeFileSync(join(path, name), bytes)
      await expect(rowsIn(name), `byte ${at}`).rejects.toThrow(`Failed to decode backup ${name}: `)
      writeFileSync(join(path, name), whole.subarray(0, at))
      await expect(rowsIn(name), `cut at ${at}`).rejects.toThrow(`Failed to decode backup ${name}: `)
    }
    writeFileSync(join(path, name), Buffer.concat([whole, Buffer.alloc(9)]))
    await expect(rowsIn(name)).rejects.toThrow(`Failed to decode backup ${name}: `)
    writeFileSync(join(path, name), whole)
    expect((await rowsIn(name)).length).toBe(5)
  })

  test('one of another cluster: refused by both names', async () => {
    const { name } = await folder().write(0)
    const other = folder({ clusterId: () => 'ffff' })
    await expect(rowsIn(name, other)).rejects.toThrow(`Backup ${name} is of cluster ${CLUSTER}, not of this one (ffff)`)
  })

  test('a name that is not there, or leads out of the folder: does not exist', async () => {
    const { name } = await folder().write(0)
    const missing = name.replace('20261127', '20251127')
    for (const wrong of [missing, '../log/lock', `../backups/${name}`, '', 'x']) {
      await expect(rowsIn(wrong)).rejects.toThrow(`Backup ${wrong} does not exist.`)
    }
  })
})
