import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { NO_IDENTITY } from '../../src/core/executor/agent-book.ts'
import { makeEntry } from '../../src/core/log/entry.ts'
import { NO_BASE } from '../../src/core/log/meta.ts'
import { openAgentStore } from '../../src/runtime/agent/agent-store.ts'
import { formatLogStore, inspectLogStore, openLogStore, verifyLogStore } from '../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../src/runtime/log/lmdb-state-store.ts'
import { temporaryFolder } from './log/log-folders.ts'

const owner = { clusterId: 'c', incarnation: 'disk-1' }
const PAGE_BYTES = 4_096

async function logOf(entryCount: number): Promise<string> {
  const folder = join(temporaryFolder(), 'store')
  const genesisMembers = [{ memberId: 1, name: 'node-1', address: 'alone' }]
  await formatLogStore(folder, { ...owner, genesisHash: 'g', memberId: 1, genesisMembers })
  const store = await openLogStore(folder)
  const entries = Array.from({ length: entryCount }, (_, at) => makeEntry(at + 1, [1, 1], 'DATA', new Uint8Array(500)))
  const { meta } = store.restored
  const written = { ...meta, end: entryCount, promised: [1, 1], generation: meta.generation + 1 } as const
  await store.write({ ticket: 1, dropBefore: null, cutFrom: null, entries, meta: written })
  await store.close()
  return folder
}

async function rowsOf(rowCount: number): Promise<string> {
  const folder = join(temporaryFolder(), 'state')
  const state = await openStateStore(folder, owner, { begin: 1, end: 9 })
  const rows = Array.from({ length: rowCount }, (_, at) => ({ table: 1, key: `k${at}`, bytes: new Uint8Array(500) }))
  await state.write({ rows, applied: 9, resumeFrom: 10, base: NO_BASE })
  await state.close()
  return folder
}

async function agentOf(taskCount: number): Promise<string> {
  const folder = join(temporaryFolder(), 'db')
  const store = await openAgentStore(folder)
  await store.write({ identity: NO_IDENTITY })
  const tombstones = Array.from({ length: taskCount }, (_, at) => ({ taskId: `task-${at}`.padEnd(400, 'x'), atMs: at }))
  await store.write({ tombstones })
  await store.close()
  return folder
}

/** What becomes of the file below the store. */
const DAMAGES: [string, (file: string) => void][] = [
  ['cut short in the middle', file => truncateSync(file, statSync(file).size / 2)],
  ['its last pages are missing', file => truncateSync(file, statSync(file).size - 10 * PAGE_BYTES)],
  ['cut to nothing', file => truncateSync(file, 0)],
  ['garbage where it begins', file => overwrite(file, 0, 2 * PAGE_BYTES)],
  ['garbage in all pages after those', file => overwrite(file, 2 * PAGE_BYTES, statSync(file).size)],
]

/** Bytes that differ from page to page, always the same. */
function overwrite(path: string, from: number, to: number): void {
  const garbage = Buffer.alloc(to - from)
  for (let at = 0, seed = 1; at < garbage.length; at++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648
    garbage[at] = seed >> 16
  }
  const file = openSync(path, 'r+')
  writeSync(file, garbage, 0, garbage.length, from)
  closeSync(file)
}

describe.each(DAMAGES)('the file of a store: %s', (_name, damage) => {
  test('log: refused with the reason, again and again; looking at it and verifying it say so too', async () => {
    const folder = await logOf(300)
    damage(join(folder, 'data.mdb'))
    await expect(openLogStore(folder)).rejects.toThrow(`The log at ${folder} is damaged: `)
    await expect(openLogStore(folder)).rejects.toThrow('Restore the folder from a backup')
    await expect(inspectLogStore(folder)).rejects.toThrow('is damaged')
    expect(await verifyLogStore(folder)).toContain('is damaged')
  })

  test('row tables: made again from the log, and told; refused when the log is no longer whole', async () => {
    const folder = await rowsOf(300)
    damage(join(folder, 'data.mdb'))
    await expect(openStateStore(folder, owner, { begin: 5, end: 9 })).rejects.toThrow('the log beside them begins at 5')
    const told: string[] = []
    const state = await openStateStore(folder, owner, { begin: 1, end: 9 }, because => told.push(because))
    onTestFinished(() => state.close())
    expect(told).toHaveLength(1)
    expect([state.applied, state.resumeFrom, state.readRows(null, 10).rows]).toEqual([0, 1, []])
  })

  test("agent's store: refused with the reason and what to do", async () => {
    const folder = await agentOf(300)
    damage(join(folder, 'data.mdb'))
    await expect(openAgentStore(folder)).rejects.toThrow(/cannot be opened: .+ move the agent.workDir away/)
  })
})

describe('the opening of a store', () => {
  test('sound: nothing is left that makes the next one slow', async () => {
    const [log, rows, agent] = [await logOf(10), await rowsOf(10), await agentOf(10)]
    for (const folder of [log, rows, agent]) expect(existsSync(`${folder}.opening`)).toBe(false)
  })

  test('row tables: suspect until all rows were read once', async () => {
    const folder = await rowsOf(10)
    const state = await openStateStore(folder, owner, { begin: 1, end: 9 })
    onTestFinished(() => state.close())
    const first = state.readRows(null, 5)
    expect([first.done, existsSync(`${folder}.opening`)]).toEqual([false, true])
    const { table, key } = first.rows.at(-1)!
    expect([state.readRows({ table, key }, 5).done, existsSync(`${folder}.opening`)]).toEqual([true, false])
  })

  test('the last one was killed: read in another process first, and opened when that went well', async () => {
    const folder = await logOf(10)
    writeFileSync(`${folder}.opening`, 'process 1\n')
    const store = await openLogStore(folder)
    expect(store.restored.meta.end).toBe(10)
    await store.close()
    expect(existsSync(`${folder}.opening`)).toBe(false)
  })

  test('a file that ends a process by a signal does so without this way of opening', async () => {
    const folder = await logOf(300)
    truncateSync(join(folder, 'data.mdb'), 10 * PAGE_BYTES)
    const script = `import { open } from 'lmdb'
      const root = open({ path: ${JSON.stringify(folder)}, noSubdir: false, maxDbs: 4, encoding: 'binary', readOnly: true })
      for (const row of root.openDB('entries', { encoding: 'binary', keyEncoding: 'binary' }).getRange({})) String(row)`
    const run = (): unknown =>
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { stdio: 'ignore' })
    expect(run).toThrow(expect.objectContaining({ signal: 'SIGBUS' }))
  })
})
