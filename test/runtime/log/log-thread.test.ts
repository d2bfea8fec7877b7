import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { LeaderView } from '../../../src/actors/ports.ts'
import { type LogThread, type LogThreadOptions, openLogThread } from '../../../src/runtime/log/log-client.ts'
import { logOptions, putRow, temporaryFolder } from './log-folders.ts'

async function leading(options: LogThreadOptions): Promise<{ log: LogThread; views: LeaderView[] }> {
  const log = await openLogThread(options)
  onTestFinished(() => log.terminate())
  const views: LeaderView[] = []
  const led = new Promise<void>((resolve, reject) => {
    const viewChanged = (view: LeaderView): void => {
      views.push(view)
      if (view.role === 'LEADER') resolve()
    }
    log.start({ viewChanged, committed: () => {}, writable: () => {} }).catch(reject)
  })
  await led
  return { log, views }
}

/** All rows, page by page. */
async function keysOf(log: LogThread): Promise<Set<string>> {
  const keys = new Set<string>()
  let cursor = null
  for (;;) {
    const page = await log.readRows(cursor, 5_000)
    for (const row of page.rows) keys.add(row.key)
    const last = page.rows.at(-1)
    if (page.done || last === undefined) return keys
    cursor = { table: last.table, key: last.key }
  }
}

/** Kills the writer with SIGKILL once it has acknowledged so many; answers what it had acknowledged by then. */
async function killAfter(path: string, round: number, ackCount: number): Promise<string[]> {
  const writer = join(import.meta.dirname, 'crash-writer.mjs')
  const child = spawn(process.execPath, [writer, JSON.stringify(logOptions(path)), String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const acked: string[] = []
  const ended = once(child, 'close')
  createInterface({ input: child.stdout }).on('line', line => {
    acked.push(line)
    if (acked.length === ackCount) child.kill('SIGKILL')
  })
  const [status, signal] = await ended
  expect({ status, signal }).toEqual({ status: null, signal: 'SIGKILL' })
  // The last line may have been cut by the kill.
  return acked.filter(key => /^\d+-\d+-\d+$/.test(key))
}

describe('the log thread', () => {
  test('many appends of one turn: consecutive positions in the order of the calls', async () => {
    const { log } = await leading(logOptions(join(temporaryFolder(), 'log')))
    const results = await Promise.all(Array.from({ length: 1_000 }, (_, at) => log.append(putRow(`k${at}`, 'v'))))
    expect(results).toEqual(results.map((_, at) => ({ type: 'ok', position: at + 2 })))
    expect((await log.status()).commit).toBe(1_001)
    expect(await log.read(1, 1)).toMatchObject([{ type: 'LEADER', ballot: [1, 1] }])
  })

  test('a store that must not be opened: start rejects with the reason, across the threads', async () => {
    const options = logOptions(join(temporaryFolder(), 'log'))
    await leading(options)
    const second = await openLogThread(options)
    onTestFinished(() => second.terminate())
    const start = second.start({ viewChanged: () => {}, committed: () => {}, writable: () => {} })
    await expect(start).rejects.toMatchObject({
      name: 'LogRefused',
      message: expect.stringContaining('in use by process'),
    })
  })

  test('killed with SIGKILL again and again while 32 writers append: every acknowledged append is there', async () => {
    const path = join(temporaryFolder(), 'log')
    const acked: string[] = []
    for (let round = 0; round < 4; round++) acked.push(...(await killAfter(path, round, 150 + 200 * round)))
    const { log } = await leading(logOptions(path))
    expect((await log.status()).bootCounter).toBe(5)
    const keys = await keysOf(log)
    expect(acked.length).toBeGreaterThan(1_000)
    expect(acked.filter(key => !keys.has(key))).toEqual([])
    // Positions have no gap, and what was not acknowledged is a whole append or nothing.
    const { end } = await log.status()
    expect((await log.read(1, end)).map(entry => entry.position)).toEqual(
      Array.from({ length: end }, (_, at) => at + 1),
    )
  })
})
