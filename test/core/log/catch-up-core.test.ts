import { describe, expect, test } from 'vitest'
import { CatchUpCore, type CatchUpEffect, type CatchUpMessage } from '../../../src/core/log/catch-up-core.ts'
import { makeEntry } from '../../../src/core/log/entry.ts'
import { LOG_LIMITS, type LogLimits } from '../../../src/core/log/limits.ts'
import type { Fetch, SnapshotFetch } from '../../../src/core/log/messages.ts'
import { NO_BASE } from '../../../src/core/log/meta.ts'
import {
  type RowCursor,
  type SnapshotHeader,
  type SnapshotProgress,
  type StoredRow,
  snapshotId,
} from '../../../src/core/log/snapshot.ts'
import { text } from './log-cluster.ts'

const MIB = 1024 * 1024
const limits: LogLimits = { ...LOG_LIMITS, lagMax: 100, pageBytes: 4_096 }
const sender = (memberId: number) => ({ memberId, incarnation: `disk-${memberId}` })
const entriesFrom = (from: number, count: number, bytes = 1) =>
  Array.from({ length: count }, (_, at) => makeEntry(from + at, [1, 3], 'DATA', new Uint8Array(bytes)))
const row = (key: string): StoredRow => ({ table: 1, key, bytes: text(key) })
const header = (source: number, position: number, reading = 1): SnapshotHeader => ({
  id: snapshotId(source, reading),
  clusterId: 'c',
  position,
  base: NO_BASE,
  rowsDigest: 7,
})

/** Member 1; member 3 leads. Says in short what comes out of each message. */
class Bench {
  readonly core: CatchUpCore
  asked: Fetch | SnapshotFetch | null = null
  timer: { afterMs: number; ask: number } | null = null

  constructor(options: { others?: readonly number[]; progress?: SnapshotProgress; covered?: number } = {}) {
    const { others = [2, 3], progress = null, covered = 0 } = options
    this.core = new CatchUpCore({ self: sender(1), limits, others: () => others, covered: () => covered, progress })
  }

  tell(message: CatchUpMessage): string[] {
    return this.core.handle(message).flatMap(effect => this.#shown(effect) ?? [])
  }

  behind(change: Partial<Extract<CatchUpMessage, { type: 'behind' }>> = {}): string[] {
    return this.tell({ type: 'behind', leader: 3, begin: 1, end: 500, commit: 10, ...change })
  }

  /** Of whoever was asked last: entries from the position asked for. */
  entries(count: number, change: { begin?: number; commit?: number; bytes?: number; ask?: number } = {}): string[] {
    const { begin = 1, commit = 1_000, bytes, ask = this.asked!.ask } = change
    const { position } = this.asked as Fetch
    const from = sender(this.core.source!)
    return this.tell({
      type: 'entries',
      from,
      ask,
      position,
      entries: entriesFrom(position, count, bytes),
      begin,
      commit,
    })
  }

  page(of: SnapshotHeader, cursor: RowCursor | null, keys: readonly string[], done = false): string[] {
    const { ask } = this.asked!
    const from = sender(this.core.source!)
    return this.tell({ type: 'snapshotPage', from, ask, header: of, cursor, rows: keys.map(row), done })
  }

  stored(isSound = true): string[] {
    return this.tell({ type: 'pageStored', ask: this.asked!.ask, isSound })
  }

  due(): string[] {
    const { ask } = this.timer!
    this.timer = null
    return this.tell({ type: 'due', ask })
  }

  /** On to the snapshot: everybody says that what comes next is truncated. */
  toSnapshot(): string[] {
    this.behind()
    this.entries(0, { begin: 50 })
    return this.entries(0, { begin: 50 })
  }

  #shown(effect: CatchUpEffect): string | null {
    switch (effect.type) {
      case 'send': {
        this.asked = effect.message
        if (effect.message.type === 'fetch') return `fetch ${effect.message.position} of ${effect.to}`
        const { id, cursor } = effect.message
        return `snapshot ${id ?? 'new'} after ${cursor?.key ?? 'nothing'} of ${effect.to}`
      }
      case 'learn':
        return `learn ${effect.entries[0]!.position} to ${effect.entries.at(-1)!.position}`
      case 'store':
        return `store ${effect.page.rows.length} rows`
      case 'install':
        return `install ${effect.position}`
      case 'startTimer':
        this.timer = effect
        return null
      case 'cancelTimer':
        this.timer = null
        return null
      case 'note':
        return `${effect.what} ${effect.position}`
    }
  }
}

describe('when to catch up', () => {
  test('lag by what is committed: at the limit the stream of the leader will do, one more and it fetches', () => {
    const bench = new Bench()
    expect(bench.behind({ end: 110, commit: 10 })).toEqual([])
    expect(bench.behind({ end: 111, commit: 10 })).toEqual(['began 11', 'fetch 11 of 2'])
    expect(bench.asked).toMatchObject({ bytesMax: limits.pageBytes, from: sender(1) })
  })

  test('a leader that no longer holds the next entry: it fetches, however small the lag', () => {
    expect(new Bench().behind({ begin: 11, end: 20, commit: 10 })).toEqual([])
    expect(new Bench().behind({ begin: 12, end: 20, commit: 10 })).toEqual(['began 11', 'fetch 11 of 2'])
  })

  test('every heartbeat says it again: heeded once', () => {
    const bench = new Bench()
    bench.behind()
    expect(bench.behind()).toEqual([])
  })

  test('followers before the leader, whatever their ids', () => {
    const bench = new Bench({ others: [2, 3, 4, 5] })
    expect(bench.behind({ leader: 2 })).toEqual(['began 11', 'fetch 11 of 3'])
    const asked = [bench.entries(0), bench.entries(0), bench.entries(0)].flat()
    expect(asked).toEqual(['fetch 11 of 4', 'fetch 11 of 5', 'fetch 11 of 2'])
  })

  test('no other voter: nobody can help', () => {
    expect(new Bench({ others: [] }).behind()).toEqual(['nobody 10'])
  })
})

describe('entries', () => {
  test('page after page until all is there that the other one knows to be committed', () => {
    const bench = new Bench()
    bench.behind()
    expect(bench.entries(20, { commit: 40 })).toEqual(['learn 11 to 30'])
    expect(bench.due()).toEqual(['fetch 31 of 2'])
    expect(bench.entries(10, { commit: 40 })).toEqual(['learn 31 to 40', 'done 40'])
    expect(bench.core.phase).toBe('idle')
  })

  test('50 MiB a second at the most: the next page waits until its turn has come', () => {
    const bench = new Bench()
    bench.behind()
    bench.entries(5, { bytes: MIB })
    expect(bench.timer!.afterMs).toBeCloseTo(100, 1)
  })

  test('four pages wait for the own disk: no fifth is asked for until one is there', () => {
    const bench = new Bench()
    bench.behind()
    for (let page = 0; page < 3; page++) {
      bench.entries(10)
      expect(bench.due()).toHaveLength(1)
    }
    bench.entries(10)
    expect(bench.due()).toEqual([])
    expect(bench.tell({ type: 'learned', commit: 20 })).toEqual(['fetch 51 of 2'])
  })

  test('the own replica refuses what it is to learn: no more is asked for, and a while nothing', () => {
    const bench = new Bench()
    bench.behind()
    bench.entries(10)
    expect(bench.tell({ type: 'learned', commit: 10 })).toEqual(['refused 10'])
    expect(bench.behind()).toEqual([])
    expect(bench.timer!.afterMs).toBe(2_000)
    expect(bench.due()).toEqual([])
    expect(bench.behind()).toEqual(['began 11', 'fetch 11 of 2'])
  })

  test('what is left of the own disk is needed for other things: stopped where it is, and nothing begins until there is room', () => {
    for (const isSnapshot of [false, true]) {
      const bench = new Bench()
      if (isSnapshot) bench.toSnapshot()
      else bench.behind()
      expect(bench.tell({ type: 'space', full: true, freeBytes: 0 })).toEqual(['refused 10'])
      bench.due()
      expect(bench.behind()).toEqual([])
      expect(bench.tell({ type: 'space', full: false, freeBytes: 1_000 })).toEqual([])
      expect(bench.behind()).toEqual(['began 11', 'fetch 11 of 2'])
    }
  })

  test('room ends while a page is written: it counts, and the snapshot goes on after it; an unsound one is forgotten', () => {
    for (const isSound of [true, false]) {
      const bench = new Bench()
      bench.toSnapshot()
      const of = header(2, 60)
      bench.page(of, null, ['a'], !isSound)
      const { ask } = bench.asked!
      bench.tell({ type: 'space', full: true, freeBytes: 0 })
      expect(bench.tell({ type: 'pageStored', ask, isSound })).toEqual([])
      bench.tell({ type: 'space', full: false, freeBytes: 1_000 })
      bench.due()
      const again = isSound ? `snapshot ${of.id} after a of 2` : 'snapshot new after nothing of 2'
      expect(bench.toSnapshot()).toEqual(['snapshot 11', again])
    }
  })

  test('what was learned is still on its way to the disk: nothing begins anew before it is there', () => {
    const bench = new Bench()
    bench.behind()
    bench.entries(10, { commit: 20 })
    expect(bench.behind()).toEqual([])
    bench.tell({ type: 'learned', commit: 20 })
    expect(bench.behind({ commit: 20 })).toEqual(['began 21', 'fetch 21 of 2'])
  })

  test('an answer that is late, doubled, or of another position: passed over', () => {
    const bench = new Bench()
    bench.behind()
    const { ask } = bench.asked!
    expect(bench.due()).toEqual(['fetch 11 of 3'])
    expect(bench.entries(10, { ask })).toEqual([])
    const elsewhere = { type: 'entries', from: sender(3), ask: ask + 1, position: 5, begin: 1, commit: 500 } as const
    expect(bench.tell({ ...elsewhere, entries: entriesFrom(5, 3) })).toEqual([])
    expect(bench.entries(10)).toEqual(['learn 11 to 20'])
    expect(bench.entries(10)).toEqual([])
  })

  test('nobody knows more: done, and the stream of the leader goes on', () => {
    const bench = new Bench()
    bench.behind()
    expect(bench.entries(0, { commit: 10 })).toEqual(['fetch 11 of 3'])
    expect(bench.entries(0, { commit: 10 })).toEqual(['done 10'])
  })

  test('nobody answers: each is asked twice, then it rests until the leader is heard again', () => {
    const bench = new Bench()
    bench.behind()
    expect([bench.due(), bench.due(), bench.due(), bench.due()]).toEqual([
      ['fetch 11 of 3'],
      ['fetch 11 of 2'],
      ['fetch 11 of 3'],
      ['nobody 10'],
    ])
    expect(bench.core.source).toBeNull()
    expect(bench.due()).toEqual([])
    expect(bench.behind()).toHaveLength(2)
  })

  test('who is gone holds it up for half a second, who has answered before may take two', () => {
    const bench = new Bench()
    bench.behind()
    expect(bench.timer!.afterMs).toBe(500)
    expect(bench.due()).toEqual(['fetch 11 of 3'])
    bench.entries(10)
    expect(bench.due()).toEqual(['fetch 21 of 3'])
    expect(bench.timer!.afterMs).toBe(2_000)
  })

  test('all were asked in vain: the network may be slow, so each has two seconds then', () => {
    const bench = new Bench()
    bench.behind()
    bench.due()
    expect([bench.timer!.afterMs, bench.due(), bench.timer!.afterMs]).toEqual([500, ['fetch 11 of 2'], 2_000])
  })

  test('another leader: it is asked at once, whether all were silent before or one is being waited for', () => {
    const resting = new Bench({ others: [2, 3] })
    resting.behind()
    for (let miss = 0; miss < 4; miss++) resting.due()
    expect(resting.behind()).toEqual([])
    expect(resting.behind({ leader: 2 })).toEqual(['began 11', 'fetch 11 of 2'])
    const waiting = new Bench({ others: [2, 3] })
    waiting.behind()
    waiting.due()
    expect(waiting.behind()).toEqual([])
    expect(waiting.behind({ leader: 2 })).toEqual(['began 11', 'fetch 11 of 3'])
  })

  test('another leader while pages come in: they go on coming', () => {
    const bench = new Bench()
    bench.behind()
    bench.entries(10)
    bench.due()
    expect(bench.behind({ leader: 2 })).toEqual([])
    expect(bench.entries(10)).toEqual(['learn 21 to 30'])
  })

  test('an answer in between: all may be silent as often again', () => {
    const bench = new Bench()
    bench.behind()
    for (let page = 0; page < 5; page++) {
      expect([bench.due(), bench.due(), bench.due()].flat()).toHaveLength(3)
      expect(bench.entries(10)).toHaveLength(1)
      bench.tell({ type: 'learned', commit: 20 + 10 * page })
      bench.due()
    }
    expect(bench.core.phase).toBe('entries')
  })

  test('a member that was silent is asked last the next time, also after the leader, until it has answered', () => {
    const bench = new Bench()
    bench.behind()
    bench.due()
    bench.entries(10, { commit: 20 })
    bench.tell({ type: 'learned', commit: 20 })
    expect(bench.behind({ commit: 20 })).toEqual(['began 21', 'fetch 21 of 3'])
    expect(bench.entries(0)).toEqual(['fetch 21 of 2'])
    bench.entries(10, { commit: 30 })
    bench.tell({ type: 'learned', commit: 30 })
    expect(bench.behind({ commit: 30 })).toEqual(['began 31', 'fetch 31 of 2'])
  })
})

describe('a snapshot', () => {
  test('truncated everywhere: asked of the first one that said so', () => {
    const bench = new Bench()
    bench.behind()
    expect(bench.entries(0, { begin: 50 })).toEqual(['fetch 11 of 3'])
    expect(bench.entries(0, { begin: 60 })).toEqual(['snapshot 11', 'snapshot new after nothing of 2'])
  })

  test('truncated at one, still held by another: that one gives it', () => {
    const bench = new Bench()
    bench.behind()
    bench.entries(0, { begin: 50 })
    expect(bench.entries(5)).toEqual(['learn 11 to 15'])
  })

  test('truncated at one, the others know no more: the snapshot of that one, not the end', () => {
    const bench = new Bench({ others: [2, 3, 4] })
    bench.behind({ leader: 4 })
    bench.entries(0, { begin: 1, commit: 10 })
    bench.entries(0, { begin: 50 })
    expect(bench.due()).toEqual(['fetch 11 of 2'])
    expect(bench.entries(0, { begin: 1, commit: 10 })).toEqual(['snapshot 11', 'snapshot new after nothing of 3'])
  })

  test('page after page, each stored before the next is asked for, at 50 MiB a second; then installed', () => {
    const bench = new Bench()
    bench.toSnapshot()
    const of = header(2, 60)
    expect(bench.page(of, null, ['a', 'b'])).toEqual(['store 2 rows'])
    expect(bench.timer).toBeNull()
    expect(bench.stored()).toEqual([])
    expect(bench.timer!.afterMs).toBeCloseTo((4 * 1_000) / (50 * MIB), 9)
    expect(bench.due()).toEqual([`snapshot ${of.id} after b of 2`])
    bench.page(of, { table: 1, key: 'b' }, ['c'])
    bench.stored()
    bench.due()
    // The last page may be empty: then the cursor stays.
    expect(bench.page(of, { table: 1, key: 'c' }, [], true)).toEqual(['store 0 rows'])
    expect(bench.stored()).toEqual(['install 60'])
    expect(bench.core.phase).toBe('installing')
    expect(bench.behind()).toEqual([])
  })

  test('one answer lost: the same one is asked again for the same page, and goes on', () => {
    const bench = new Bench()
    bench.toSnapshot()
    const of = header(2, 60)
    bench.page(of, null, ['a'])
    bench.stored()
    const first = bench.due()
    expect(bench.due()).toEqual(first)
    expect(bench.page(of, { table: 1, key: 'a' }, ['b'])).toEqual(['store 1 rows'])
  })

  test('two answers lost: another one is asked, which has a snapshot of its own, so it begins anew', () => {
    const bench = new Bench()
    bench.toSnapshot()
    const of = header(2, 60)
    bench.page(of, null, ['a'])
    bench.stored()
    bench.due()
    bench.due()
    expect(bench.due()).toEqual([`snapshot ${of.id} after a of 3`])
    const other = header(3, 70)
    expect(bench.page(other, null, ['a'])).toEqual(['store 1 rows'])
    bench.stored()
    expect(bench.due()).toEqual([`snapshot ${other.id} after a of 3`])
  })

  test('left by an earlier process: whoever sent it is asked to go on after the last row that is on disk', () => {
    const of = header(3, 60)
    const bench = new Bench({ progress: { header: of, cursor: { table: 1, key: 'k' }, isWhole: false } })
    expect(bench.toSnapshot()).toEqual(['snapshot 11', `snapshot ${of.id} after k of 3`])
    expect(bench.page(of, { table: 1, key: 'k' }, ['l'], true)).toEqual(['store 1 rows'])
    expect(bench.stored()).toEqual(['install 60'])
  })

  test('its reader has been closed meanwhile: the new one is taken from its first row', () => {
    const bench = new Bench({ progress: { header: header(3, 60), cursor: { table: 1, key: 'k' }, isWhole: false } })
    bench.toSnapshot()
    const newer = header(3, 80, 2)
    expect(bench.page(newer, null, ['a'])).toEqual(['store 1 rows'])
    bench.stored()
    expect(bench.due()).toEqual([`snapshot ${newer.id} after a of 3`])
  })

  test('a page that goes on where nobody stands, or with rows of another snapshot: not taken, asked elsewhere', () => {
    const bench = new Bench()
    bench.toSnapshot()
    const of = header(2, 60)
    bench.page(of, null, ['a'])
    bench.stored()
    bench.due()
    expect(bench.page(of, { table: 1, key: 'x' }, ['y'])).toEqual([`snapshot ${of.id} after a of 3`])
    expect(bench.page(header(3, 60), { table: 1, key: 'a' }, ['b'])).toEqual([`snapshot ${of.id} after a of 2`])
    expect(bench.page(of, { table: 1, key: 'a' }, ['b'])).toEqual(['store 1 rows'])
  })

  test('tables further than the commit that is known, as after a crash: a snapshot that only reaches them is of no use', () => {
    const bench = new Bench({ covered: 12 })
    bench.toSnapshot()
    expect(bench.page(header(2, 12), null, ['a'], true)).toEqual(['snapshot new after nothing of 3'])
    expect(bench.page(header(3, 13), null, ['a'], true)).toEqual(['store 1 rows'])
  })

  test('older than what is here: of no use; when all are, it rests', () => {
    const bench = new Bench()
    bench.toSnapshot()
    expect(bench.page(header(2, 10), null, ['a'])).toEqual(['snapshot new after nothing of 3'])
    bench.page(header(3, 9), null, ['a'])
    bench.page(header(2, 10), null, ['a'])
    expect(bench.page(header(3, 9), null, ['a'])).toEqual(['nobody 10'])
    expect(bench.core.phase).toBe('resting')
  })

  test('the rows are not those that were sent: said, forgotten, and begun anew with the next one', () => {
    const bench = new Bench()
    bench.toSnapshot()
    bench.page(header(2, 60), null, ['a'], true)
    expect(bench.stored(false)).toEqual(['unsound 60', 'snapshot new after nothing of 3'])
  })

  test('doubled answers, and a word of the disk about another page: passed over', () => {
    const bench = new Bench()
    bench.toSnapshot()
    const of = header(2, 60)
    bench.page(of, null, ['a'])
    expect(bench.page(of, null, ['a'])).toEqual([])
    expect(bench.tell({ type: 'pageStored', ask: 1, isSound: false })).toEqual([])
    bench.stored()
    expect(bench.stored()).toEqual([])
    expect(bench.tell({ type: 'learned', commit: 900 })).toEqual([])
  })
})
