/** A backup put into the empty logs of a new cluster, on real disks. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { batchPayload, encodeTransaction } from '../../src/core/ledger/payload.ts'
import { changedDigest, rowKey } from '../../src/core/ledger/rows-digest.ts'
import { writeBackupFile } from '../../src/runtime/backup-file.ts'
import { openLogThread } from '../../src/runtime/log/log-client.ts'
import { formatLog } from '../../src/runtime/log/log-folder.ts'
import { POSITIONS_SKIPPED, restoreOffline } from '../../src/runtime/offline-restore.ts'
import { changeBytes } from '../../src/wire/ledger-rows.ts'
import { configRow, putConfig, putTask, taskRow } from '../fixtures/rows.ts'

const CLUSTER = '000000000000000000000000000000c1'
let root: string
let file: string
const rows = [putConfig(configRow()), putTask(taskRow('t'))]
  .map(changeBytes)
  .map(({ table, key, bytes }) => ({ table, key, bytes: Uint8Array.from(bytes ?? []) }))
  .sort((a, b) => a.table - b.table)

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'daybreak-offline-'))
  file = join(root, 'backup')
  const digest = rows.reduce((sum, row) => changedDigest(sum, rowKey(row.table, row.key), null, row.bytes), 0)
  const header = {
    clusterId: CLUSTER,
    position: 77,
    ballot: [3, 2] as const,
    rowsDigest: digest,
    writtenAtMs: 1_000,
    software: '0.1.0',
  }
  const payload = batchPayload([encodeTransaction({ who: 'backup', why: 'page', wallMs: 0 }, rows)])
  async function* pages() {
    yield { payload, rows: { 1: 1, 2: 1 } }
  }
  await writeBackupFile(file, header, pages(), async () => {})
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

const options = (data: string, clusterId = CLUSTER) => ({
  path: join(root, data, 'log'),
  memberId: 1,
  clusterId,
  members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
  httpUrl: '',
  configFile: '',
  autoBootstrap: true,
  space: { reserveBytes: 0, alarmBytes: 0, ballastBytes: 0 },
})
const restore = (data: string, otherCluster = false) => restoreOffline(file, join(root, data), { otherCluster })

/** Starts a node on it until it leads, and answers its rows and where its log stands. */
async function led(data: string) {
  const log = await openLogThread(options(data))
  try {
    await new Promise<void>((resolve, reject) => {
      const viewChanged = ({ role }: { role: string }): void => void (role === 'LEADER' && resolve())
      log.start({ viewChanged, committed: () => {}, writable: () => {} }).catch(reject)
    })
    return { page: await log.readRows(null, 100), report: await log.status() }
  } finally {
    await log.stop()
    await log.terminate()
  }
}

test('an empty log: the rows of the backup, at positions and under ballots far beyond what its agents have seen', async () => {
  await formatLog(options('a'), CLUSTER)
  expect(await restore('a')).toMatchObject({ clusterId: CLUSTER, memberId: 1, position: 77 + POSITIONS_SKIPPED })
  const { page, report } = await led('a')
  expect(page.rows.map(({ table, key }) => [table, key])).toEqual([
    [1, 't'],
    [2, 'c1'],
  ])
  expect(report.begin).toBe(78 + POSITIONS_SKIPPED)
  expect(report.promised[0]).toBeGreaterThan(1_000_003)
}, 30_000)

test('life-67: a log that has run, or was restored into already: refused, and it stays as it is', async () => {
  await formatLog(options('ran'), CLUSTER)
  await led('ran')
  await expect(restore('ran')).rejects.toThrow('Refusing to recover into non-empty persistence')
  expect((await led('ran')).page.rows).toEqual([])
  await formatLog(options('twice'), CLUSTER)
  await restore('twice')
  await expect(restore('twice')).rejects.toThrow('Refusing to recover into non-empty persistence')
}, 30_000)

test('no formatted log, another cluster, or a damaged file: refused with what to do, and nothing is written', async () => {
  await expect(restore('nothing')).rejects.toThrow('daybreak log initialize')
  await formatLog(options('other', 'ff'.repeat(16)), 'ff'.repeat(16))
  await expect(restore('other')).rejects.toThrow(`The backup is of cluster ${CLUSTER}`)
  writeFileSync(`${file}-damaged`, 'not a backup at all')
  await expect(restoreOffline(`${file}-damaged`, join(root, 'other'), { otherCluster: true })).rejects.toThrow(
    'no backup of Daybreak',
  )
  expect(await restore('other', true)).toMatchObject({ clusterId: 'ff'.repeat(16) })
})
