/** The member that answers those who lag: entries as they stand in its store, and one reading of its tables for all. */
import { describe, expect, test } from 'vitest'
import type { Ref } from '../../../src/actors/actor.ts'
import { type CatchUpCommand, catchUpSpec } from '../../../src/actors/catch-up.ts'
import { DamagedRecord } from '../../../src/actors/log-ports.ts'
import type { ReplicaCommand } from '../../../src/actors/replica.ts'
import { createSimSystem, type SimSystem } from '../../../src/actors/sim-shell.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { LOG_LIMITS } from '../../../src/core/log/limits.ts'
import type { Entries, PeerMessage, SnapshotPage } from '../../../src/core/log/messages.ts'
import { NO_BASE } from '../../../src/core/log/meta.ts'
import type { RowCursor } from '../../../src/core/log/snapshot.ts'
import { metaOf } from '../../core/log/log-cluster.ts'
import { MemoryDisk, MemoryLogStore, MemoryStateStore } from '../../runtime/log/memory-stores.ts'

const sender = (memberId: number) => ({ memberId, incarnation: `disk-${memberId}` })
const MINUTE = 60_000

class Bench {
  readonly sim: SimSystem = createSimSystem({ seed: 1 })
  readonly state = new MemoryStateStore()
  readonly store: MemoryLogStore
  readonly holds: (number | null)[] = []
  readonly troubles: unknown[] = []
  sent: { to: number; message: PeerMessage }[] = []
  readonly #actor: Ref<CatchUpCommand>
  commit = 60
  begin = 11

  /** Positions 11 to 70 are held, up to 60 committed; rows as of position 60. */
  constructor() {
    const disk = new MemoryDisk(metaOf(2, 3, { begin: 11, base: { ballot: [1, 1], digest: 0 }, end: 70, commit: 60 }))
    for (let at = 11; at <= 70; at++) disk.records.set(at, makeEntry(at, [1, 1], 'DATA', new Uint8Array(100)).record)
    this.store = new MemoryLogStore(disk)
    const replica = this.sim.function('replica', (command: ReplicaCommand) => {
      if (command.type === 'hold') this.holds.push(command.from)
    })
    this.#actor = this.sim.spawn(
      catchUpSpec({
        self: sender(2),
        store: this.store,
        state: this.state,
        transport: { send: (to, message) => void this.sent.push({ to, message }), onMessage: () => {} },
        limits: LOG_LIMITS,
        replica: () => replica,
        meta: () => ({ begin: this.begin, commit: this.commit }),
        others: () => [1, 3],
        onInstall: () => {},
        onStoreTrouble: cause => void this.troubles.push(cause),
      }),
    )
  }

  async rows(applied: number): Promise<void> {
    const rows = ['a', 'b', 'c'].map(key => ({ table: 1, key, bytes: new Uint8Array([applied]) }))
    await this.state.write({ rows, applied, resumeFrom: applied + 1, base: NO_BASE })
  }

  free(freeBytes: number): void {
    this.#actor.tell({ type: 'space', full: false, freeBytes })
    this.sim.run()
  }

  fetch(position: number, bytesMax = 1_000_000, from = 3): Entries {
    this.ask(position, from, position, bytesMax)
    return this.#answer() as Entries
  }

  /** Nothing is waited for. */
  ask(ask: number, from: number, position = 20, bytesMax = 1_000_000): void {
    this.#actor.tell({ type: 'fetch', from: sender(from), ask, position, bytesMax })
  }

  page(id: string | null, cursor: RowCursor | null, from = 3, bytesMax = 1): SnapshotPage {
    this.#actor.tell({ type: 'snapshotFetch', from: sender(from), ask: 1, id, cursor, bytesMax })
    return this.#answer() as SnapshotPage
  }

  /** And the rest after it. */
  #answer(): PeerMessage {
    this.sim.advance(2)
    return this.sent.pop()!.message
  }
}

const keysOf = ({ rows }: SnapshotPage): string => rows.map(({ key }) => key).join()
const positionsOf = ({ entries }: Entries): number[] => entries.map(({ position }) => position)

describe('entries for another member', () => {
  test('from what is held and committed, as many as fit; with where the log begins and up to where it is committed', () => {
    const bench = new Bench()
    const answer = bench.fetch(58)
    expect(answer).toMatchObject({ type: 'entries', ask: 58, position: 58, begin: 11, commit: 60 })
    expect(positionsOf(answer)).toEqual([58, 59, 60])
    expect(positionsOf(bench.fetch(20, 300))).toEqual([20, 21, 22])
    expect(positionsOf(bench.fetch(20, 1))).toEqual([20])
  })

  test('truncated, or not known to be committed: none, and the answer says why', () => {
    const bench = new Bench()
    expect(bench.fetch(10)).toMatchObject({ entries: [], begin: 11 })
    expect(bench.fetch(61)).toMatchObject({ entries: [], commit: 60 })
    expect(bench.fetch(2 ** 53 - 1)).toMatchObject({ entries: [] })
  })

  test('a damaged record: nothing is sent, and the owner of the store is told', () => {
    const bench = new Bench()
    bench.store.disk.records.set(30, new Uint8Array(50))
    expect(() => bench.fetch(25)).toThrow()
    expect(bench.sent).toEqual([])
    expect(bench.troubles).toEqual([expect.any(DamagedRecord)])
  })
})

describe('a member that asks and asks', () => {
  test('in a tight loop, without waiting for answers: one answer every 2 ms, to its last question', () => {
    const bench = new Bench()
    let asks = 0
    for (let ms = 0; ms < 1_000; ms++) {
      for (let time = 0; time < 100; time++) bench.ask(++asks, 3)
      bench.sim.advance(1)
    }
    expect(bench.sent.length).toBeGreaterThan(300)
    expect(bench.sent.length).toBeLessThanOrEqual(501)
    expect((bench.sent.at(-1)!.message as Entries).ask).toBeGreaterThan(asks - 300)
  })

  test('beside another one: that one is answered at its next turn', () => {
    const bench = new Bench()
    for (let ms = 0; ms < 100; ms++) {
      for (let time = 0; time < 100; time++) bench.ask(1_000 + time, 3)
      bench.ask(ms, 1)
      bench.sim.advance(1)
    }
    const served = bench.sent.map(({ to }) => to)
    expect(served.filter(to => to === 1).length).toBeGreaterThanOrEqual(Math.floor(served.length / 2))
  })

  test('for a reading that is not there: the one that another member reads stays open', async () => {
    const bench = new Bench()
    await bench.rows(50)
    const { header } = bench.page(null, null, 3)
    expect(bench.page('2-dead', { table: 1, key: 'b' }, 1)).toMatchObject({ header, cursor: null })
    expect(bench.page(header.id, { table: 1, key: 'a' }, 3)).toMatchObject({ header, cursor: { key: 'a' } })
    expect(bench.holds).toEqual([51])
  })
})

describe('a snapshot for another member', () => {
  test('pages of one reading, while writes go on; the entries after it are held until it is through', async () => {
    const bench = new Bench()
    await bench.rows(50)
    const first = bench.page(null, null)
    expect(first).toMatchObject({ cursor: null, done: false, header: { position: 50 } })
    expect(bench.holds).toEqual([51])
    await bench.rows(60)
    const { id } = first.header
    const second = bench.page(id, { table: 1, key: 'a' })
    const third = bench.page(id, { table: 1, key: 'b' })
    expect([keysOf(first), keysOf(second), keysOf(third)]).toEqual(['a', 'b', 'c'])
    expect(third).toMatchObject({ done: true, header: first.header, cursor: { table: 1, key: 'b' } })
    expect(third.rows[0]!.bytes).toEqual(new Uint8Array([50]))
  })

  test('a second member that begins is given the same reading', async () => {
    const bench = new Bench()
    await bench.rows(50)
    const first = bench.page(null, null, 3)
    await bench.rows(60)
    expect(bench.page(null, null, 1).header).toEqual(first.header)
  })

  test('a reading that nobody has any more: a new one, from its first row', async () => {
    const bench = new Bench()
    await bench.rows(60)
    const answer = bench.page('2-dead', { table: 1, key: 'b' })
    expect(answer).toMatchObject({ cursor: null, header: { position: 60 } })
    expect(keysOf(answer)).toBe('a')
    expect(answer.header.id).toMatch(/^2-[0-9a-f]+$/)
  })

  test('not asked for 30 s: closed, and nothing is held any more; a fetch of entries counts as asking', async () => {
    const bench = new Bench()
    await bench.rows(50)
    bench.page(null, null)
    bench.sim.advance(29_000)
    bench.fetch(51)
    bench.sim.advance(29_000)
    expect(bench.holds).toEqual([51])
    bench.sim.advance(2_000)
    expect(bench.holds).toEqual([51, null])
  })

  test('open for five minutes: whoever asks then is given a newer one, because pages of the store cannot be used again', async () => {
    const bench = new Bench()
    await bench.rows(50)
    const { id } = bench.page(null, null).header
    for (let at = 0; at < 5 * MINUTE - 20_000; at += 20_000) {
      bench.sim.advance(20_000)
      expect(bench.page(id, { table: 1, key: 'a' }).header.id).toBe(id)
    }
    await bench.rows(60)
    bench.sim.advance(20_000)
    const newer = bench.page(id, { table: 1, key: 'a' })
    expect(newer).toMatchObject({ cursor: null, header: { position: 60 } })
    expect(bench.holds).toEqual([51, null, 61])
  })

  test('open for longer, with at least half of the room left that there was at its beginning: it goes on, for an hour', async () => {
    const readUntil = async (minutes: number, freeBytes: number): Promise<boolean> => {
      const bench = new Bench()
      bench.free(1_000)
      await bench.rows(50)
      const { id } = bench.page(null, null).header
      bench.free(freeBytes)
      for (let at = 0; at < minutes * MINUTE; at += 20_000) {
        bench.sim.advance(20_000)
        if (bench.page(id, { table: 1, key: 'a' }).header.id !== id) return false
      }
      return true
    }
    expect(await readUntil(59, 500)).toBe(true)
    expect(await readUntil(61, 500)).toBe(false)
    expect(await readUntil(6, 499)).toBe(false)
  })

  test('the node ends: the reading is closed, because the store cannot be closed under it', async () => {
    const bench = new Bench()
    await bench.rows(50)
    let closed = 0
    const snapshot = bench.state.snapshot.bind(bench.state)
    bench.state.snapshot = id => ({ ...snapshot(id), close: () => void closed++ })
    bench.page(null, null)
    await bench.sim.stop()
    expect(closed).toBe(1)
  })
})
