import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { batchPayload, encodeTransaction, splitPayload } from '../../../src/core/ledger/payload.ts'
import { Applier } from '../../../src/core/log/apply.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import { type Entry, type EntryType, encodeNote, makeEntry } from '../../../src/core/log/entry.ts'
import { type LogBase, NO_BASE } from '../../../src/core/log/meta.ts'

const put = (key: string, bytes = 4): Uint8Array =>
  batchPayload([
    encodeTransaction({ who: 'w', why: 'y', wallMs: 1 }, [{ table: 1, key, bytes: new Uint8Array(bytes) }]),
  ])
const partsOf = (key: string): readonly Uint8Array[] => splitPayload(put(key, 900), 7, 300)
const leader = encodeNote({ memberId: 1, wallMs: 0, software: 's' })

/** A log of these payloads, in order. */
function logOf(list: readonly (readonly [EntryType, Uint8Array])[]): Entry[] {
  return list.map(([type, payload], at) => makeEntry(at + 1, [1 + Math.floor(at / 3), 1], type, payload))
}

/** Of the position itself. */
function baseAt(log: readonly Entry[], position: number): LogBase {
  const digest = log.slice(0, position).reduce((sum, { crc }) => foldDigest(sum, crc), 0)
  return position === 0 ? NO_BASE : { ballot: log[position - 1]!.ballot, digest }
}

describe('the base of what is applied', () => {
  test('entries that take effect at once: the base is that of the last one', () => {
    const log = logOf([
      ['LEADER', leader],
      ['DATA', put('a')],
      ['TRUNCATE', encodeNote({ to: 1 })],
    ])
    const batch = new Applier(NO_BASE).apply(log)
    expect(batch).toMatchObject({ applied: 3, resumeFrom: 4, base: baseAt(log, 3) })
    expect(batch.rows.map(({ key }) => key)).toEqual(['a'])
  })

  test('a transaction in parts: until its last part the base stays before its first, and so does where replay begins', () => {
    const parts = partsOf('big')
    expect(parts).toHaveLength(4)
    const log = logOf([['DATA', put('a')], ...parts.map(part => ['DATA', part] as const), ['DATA', put('b')]])
    const applier = new Applier(NO_BASE)
    const seen = log.map(entry => applier.apply([entry]))
    expect(seen.map(({ applied }) => applied)).toEqual([1, 2, 3, 4, 5, 6])
    expect(seen.map(({ resumeFrom }) => resumeFrom)).toEqual([2, 2, 2, 2, 6, 7])
    expect(seen.map(({ base }) => base)).toEqual([1, 1, 1, 1, 5, 6].map(at => baseAt(log, at)))
    expect(seen.map(({ rows }) => rows.map(({ key }) => key).join())).toEqual(['a', '', '', '', 'big', 'b'])
  })

  test('what a leader says of the log itself between two parts: no part, and no end of the transaction', () => {
    const [first, ...others] = partsOf('big').map(part => ['DATA', part] as const)
    const log = logOf([
      first!,
      ['TRUNCATE', encodeNote({ to: 1 })],
      ['CHECKPOINT', encodeNote({ position: 1, rowsDigest: 0 })],
      ...others,
    ])
    const batch = new Applier(NO_BASE).apply(log)
    expect(batch.rows.map(({ key }) => key)).toEqual(['big'])
    expect(batch).toMatchObject({ resumeFrom: 7, base: baseAt(log, 6) })
  })

  test('a new leader between two parts: the transaction is void, and replay need not go back to it', () => {
    const [first, second] = partsOf('big').map(part => ['DATA', part] as const)
    const log = logOf([first!, ['LEADER', leader], second!, ['DATA', put('a')]])
    const applier = new Applier(NO_BASE)
    expect(applier.apply(log.slice(0, 2))).toMatchObject({ resumeFrom: 3, base: baseAt(log, 2) })
    const batch = applier.apply(log.slice(2))
    expect(batch).toMatchObject({ resumeFrom: 5, base: baseAt(log, 4) })
    expect(batch.rows.map(({ key }) => key)).toEqual(['a'])
    expect(applier.voided).toBeGreaterThan(0)
  })
})

const logs = fc
  .array(
    fc.oneof(
      fc.constantFrom('a', 'b', 'c').map(key => [['DATA', put(key)] as const]),
      fc.constantFrom('x', 'y').map(key => partsOf(key).map(part => ['DATA', part] as const)),
      // Cut off: the last parts are missing.
      fc.constantFrom('x', 'y').map(key =>
        partsOf(key)
          .slice(0, 2)
          .map(part => ['DATA', part] as const),
      ),
      fc.constant([['LEADER', leader] as const]),
      fc.constant([['TRUNCATE', encodeNote({ to: 1 })] as const]),
    ),
    { minLength: 1, maxLength: 12 },
  )
  .map(groups => logOf(groups.flat()))

describe('any log', () => {
  test('stopped and begun again anywhere, at where replay begins: the same rows in the end, and the same base', () => {
    fc.assert(
      fc.property(logs, fc.nat(), (log, cut) => {
        const apply = (applier: Applier, entries: readonly Entry[], rows: Map<string, number>) => {
          const batch = applier.apply(entries)
          for (const { key, bytes } of batch.rows) rows.set(key, bytes?.length ?? -1)
          return batch
        }
        const wholeRows = new Map<string, number>()
        const whole = apply(new Applier(NO_BASE), log, wholeRows)
        const stop = 1 + (cut % log.length)
        const rows = new Map<string, number>()
        const first = apply(new Applier(NO_BASE), log.slice(0, stop), rows)
        expect(first.base).toEqual(baseAt(log, first.resumeFrom - 1))
        if (first.resumeFrom > log.length) return
        const second = apply(new Applier(first.base), log.slice(first.resumeFrom - 1), rows)
        expect(second).toMatchObject({ applied: whole.applied, resumeFrom: whole.resumeFrom, base: whole.base })
        expect([...rows].sort()).toEqual([...wholeRows].sort())
      }),
    )
  })
})
