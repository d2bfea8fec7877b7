/** One member on simulated time: what its log and tables are asked to write while it truncates, and when. */
import { describe, expect, test } from 'vitest'
import { type LogActors, spawnLog } from '../../../src/actors/log-actors.ts'
import { noPeers } from '../../../src/actors/log-ports.ts'
import { silentMetrics } from '../../../src/actors/ports.ts'
import { createSimSystem, type SimSystem } from '../../../src/actors/sim-shell.ts'
import { checkpointNote, type Entry, encodeNote, makeEntry, truncateNote } from '../../../src/core/log/entry.ts'
import { LOG_LIMITS, type LogLimits } from '../../../src/core/log/limits.ts'
import type { LogWrite } from '../../../src/core/log/replica-core.ts'
import { LOG_TIMING } from '../../../src/core/log/timing.ts'
import { metaOf } from '../../core/log/log-cluster.ts'
import { putRow } from '../../runtime/log/log-folders.ts'
import { MemoryDisk, MemoryLogStore, MemoryStateStore } from '../../runtime/log/memory-stores.ts'

const LIMITS: LogLimits = {
  ...LOG_LIMITS,
  entriesKept: 100,
  truncateStep: 50,
  dropStep: 7,
  checkpointEvery: 40,
}

interface Dropped {
  readonly atMs: number
  readonly count: number
}

class Alone {
  readonly sim: SimSystem
  readonly state: MemoryStateStore
  readonly store: MemoryLogStore
  readonly actors: LogActors
  readonly dropped: Dropped[] = []
  readonly troubles: unknown[] = []
  readonly counts: string[] = []
  #ids = 0

  constructor(limits: LogLimits, disk = new MemoryDisk(metaOf(1, 1)), state = new MemoryStateStore()) {
    this.sim = createSimSystem({ seed: 3 })
    this.state = state
    this.store = new MemoryLogStore(disk)
    const write = this.store.write.bind(this.store)
    this.store.write = (one: LogWrite): Promise<void> => {
      const { begin } = this.store.disk.meta
      if (one.dropBefore !== null) this.dropped.push({ atMs: this.sim.now().monoMs, count: one.dropBefore - begin })
      return write(one)
    }
    this.actors = spawnLog({
      system: this.sim,
      memberId: 1,
      software: 'test',
      store: this.store,
      state,
      transport: noPeers,
      timing: LOG_TIMING,
      limits,
      metrics: { ...silentMetrics, count: name => void this.counts.push(name) },
      onView: () => {},
      onVoting: () => {},
      onResults: () => {},
      onApplied: () => {},
      onInstall: () => {},
      onStoreTrouble: cause => void this.troubles.push(cause),
      onFailStop: reason => void this.troubles.push(reason),
    })
    this.actors.election.tell({ type: 'ready', voters: [1] })
  }

  async advance(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 5) {
      this.sim.advance(5)
      await this.sim.settle()
    }
  }

  async fill(count: number, bytes = 10): Promise<void> {
    for (let at = 0; at < count; at += 10) {
      const requests = Array.from({ length: 10 }, () => {
        const id = ++this.#ids
        return { id, payload: putRow(`k${id % 30}`, String(id).padEnd(bytes, 'x')) }
      })
      this.actors.coordinator.tell({ type: 'append', requests })
      await this.advance(5)
    }
  }

  entries(type: Entry['type']): Entry[] {
    const { begin, end } = this.store.disk.meta
    return this.store.read(begin, end, end).filter(entry => entry.type === type)
  }
}

describe('truncation', () => {
  test('no transaction takes more positions than a step, and there is a pause between two: appends pass in between', async () => {
    const alone = new Alone(LIMITS)
    await alone.advance(50)
    await alone.fill(1_000)
    await alone.advance(8_000)
    const { begin, end } = alone.store.disk.meta
    expect(alone.dropped.length).toBeGreaterThan(100)
    expect(Math.max(...alone.dropped.map(({ count }) => count))).toBe(LIMITS.dropStep)
    expect(alone.dropped.reduce((sum, { count }) => sum + count, 0)).toBe(begin - 1)
    const pauses = alone.dropped.slice(1).map(({ atMs }, at) => atMs - alone.dropped[at]!.atMs)
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(20)
    // What is to be kept, and less than one step more.
    expect(end - begin).toBeGreaterThanOrEqual(LIMITS.entriesKept)
    expect(end - begin).toBeLessThan(LIMITS.entriesKept + 2 * LIMITS.truncateStep)
    expect(alone.troubles).toEqual([])
  })

  test('large records: fewer at a time, because each is read once more before it goes', async () => {
    const alone = new Alone({ ...LIMITS, entriesKept: 20, truncateStep: 20, dropStep: 500 })
    await alone.advance(50)
    await alone.fill(60, 900_000)
    await alone.advance(500)
    expect(alone.dropped.length).toBeGreaterThan(4)
    // 4 MiB are reached with the fifth of them; what leaders say of the log is small.
    expect(Math.max(...alone.dropped.map(({ count }) => count))).toBeLessThanOrEqual(7)
  })

  test('said in steps, not with every batch; an idle log says nothing, although what it says moves its own end', async () => {
    const alone = new Alone({ ...LIMITS, entriesKept: 100_000 })
    await alone.advance(50)
    await alone.fill(300)
    expect(alone.entries('TRUNCATE')).toEqual([])
    const some = new Alone(LIMITS)
    await some.advance(50)
    await some.fill(600)
    await some.advance(5_000)
    const said = some.entries('TRUNCATE').map(entry => truncateNote(entry).to)
    const steps = said.slice(1).map((to, at) => to - said[at]!)
    expect(Math.min(...steps)).toBeGreaterThanOrEqual(LIMITS.truncateStep)
    const { end } = some.store.disk.meta
    await some.advance(60_000)
    expect(some.store.disk.meta.end).toBe(end)
  })

  test('tables that lag hold it back: nothing goes that they do not stand for yet', async () => {
    const alone = new Alone(LIMITS)
    await alone.advance(50)
    await alone.fill(20)
    alone.state.write = () => new Promise(() => {})
    await alone.fill(900)
    await alone.advance(1_000)
    expect(alone.store.disk.meta.begin).toBe(1)
  })

  test('opened again after drops: it goes on where the tables end, and truncates further', async () => {
    const before = new Alone(LIMITS)
    await before.advance(50)
    await before.fill(400)
    await before.advance(2_000)
    const { begin } = before.store.disk.meta
    expect(begin).toBeGreaterThan(100)
    const alone = new Alone(LIMITS, before.store.disk, before.state)
    await alone.advance(50)
    await alone.fill(200)
    await alone.advance(2_000)
    expect(alone.store.disk.meta.begin).toBeGreaterThan(begin + 100)
    expect(alone.state.rows.size).toBe(30)
    expect(alone.troubles).toEqual([])
  })
})

describe('checkpoints', () => {
  test('at each multiple: the digest that the tables had just there', async () => {
    const alone = new Alone({ ...LIMITS, entriesKept: 100_000 })
    await alone.advance(50)
    await alone.fill(300)
    await alone.advance(500)
    const notes = alone.entries('CHECKPOINT').map(checkpointNote)
    expect(notes.map(({ position }) => position)).toEqual(notes.map((_, at) => 40 * (at + 1)))
    expect(notes.length).toBeGreaterThan(5)
    const { end } = alone.store.disk.meta
    const twin = new MemoryStateStore()
    for (const entry of alone.store.read(1, end, end)) {
      if (entry.type === 'DATA') await applyTo(twin, entry)
      const note = notes.find(({ position }) => position === entry.position)
      if (note !== undefined) expect(twin.rowsDigest, String(note.position)).toBe(note.rowsDigest)
    }
  })

  test('a digest that is not the own one: told as rows that diverged, counted, and nothing for one that is not known here', async () => {
    const leader: readonly [number, number] = [9, 2]
    const entry = (position: number, note: Uint8Array) => makeEntry(position, leader, 'CHECKPOINT', note)
    for (const [at, isKnown] of [
      [40, true],
      [41, false],
    ] as const) {
      const alone = new Alone({ ...LIMITS, entriesKept: 100_000 })
      await alone.advance(50)
      await alone.fill(50)
      await alone.advance(100)
      const { end } = alone.store.disk.meta
      // As if another had led and written it.
      const note = encodeNote({ position: at, rowsDigest: 1 })
      alone.actors.replica.tell({ type: 'learn', entries: [entry(end + 1, note)] })
      await alone.advance(200)
      expect(alone.counts.includes('log_divergence')).toBe(isKnown)
      expect(alone.troubles.map(String)).toEqual(
        isKnown
          ? [expect.stringMatching(/^RowsDiverged: state divergence at 40: .* those of member 2, which led, 00000001/)]
          : [],
      )
    }
  })
})

async function applyTo(state: MemoryStateStore, { position, payload, ballot }: Entry): Promise<void> {
  const { payloadRows } = await import('../../../src/core/ledger/payload.ts')
  const rows = payloadRows(payload)
  await state.write({ rows, applied: position, resumeFrom: position + 1, base: { ballot, digest: 0 } })
}
