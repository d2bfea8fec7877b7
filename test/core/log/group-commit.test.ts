import { describe, expect, test } from 'vitest'
import { GroupCommit, HOLD_MS_MAX, type Waiting, WORTH_HOLDING_MAX } from '../../../src/core/log/group-commit.ts'

const waiting = (queued: number, change: Partial<Waiting> = {}): Waiting => ({
  queued,
  isFlushing: false,
  isCommitted: true,
  ...change,
})

/** The last batch took 4 ms to reach the own disk, at 4 ms, and is committed at 5 ms: `answered` go, `queued` wait. */
function committed(answered: number, queued: number): GroupCommit {
  const grouping = new GroupCommit()
  grouping.flushed(4, 4)
  grouping.committed(answered, queued, 5)
  return grouping
}

describe('when waiting appends are a batch', () => {
  test('nothing has been written yet: at once', () => {
    expect(new GroupCommit().heldMs(waiting(1), 0)).toBe(0)
  })

  test('while a batch is on its way to the own disk: not before it is there, however long that takes', () => {
    expect(committed(1, 0).heldMs(waiting(3, { isFlushing: true, isCommitted: false }), 1_000)).toBe(
      Number.POSITIVE_INFINITY,
    )
  })

  test('on the own disk and not yet on a quorum: held as long as the flush took, then no longer', () => {
    const grouping = new GroupCommit()
    grouping.flushed(4, 10)
    const notCommitted = waiting(3, { isCommitted: false })
    expect(grouping.heldMs(notCommitted, 11)).toBe(3)
    expect(grouping.heldMs(notCommitted, 14)).toBe(0)
  })

  test('committed: held until as many have come as were answered', () => {
    const grouping = committed(32, 30)
    expect(grouping.heldMs(waiting(30), 5)).toBe(4)
    expect(grouping.heldMs(waiting(61), 6)).toBe(3)
    expect(grouping.heldMs(waiting(62), 6)).toBe(0)
  })

  test('those that were answered stay away: held as long as the flush took, then no longer', () => {
    expect(committed(32, 30).heldMs(waiting(30), 9)).toBe(0)
  })

  test('so many that they are a large batch by themselves: held for nobody but the own disk', () => {
    const grouping = committed(1_000, 0)
    expect(grouping.heldMs(waiting(WORTH_HOLDING_MAX - 1), 5)).toBe(4)
    expect(grouping.heldMs(waiting(WORTH_HOLDING_MAX), 5)).toBe(0)
    expect(grouping.heldMs(waiting(WORTH_HOLDING_MAX, { isCommitted: false }), 5)).toBe(0)
    expect(grouping.heldMs(waiting(WORTH_HOLDING_MAX, { isFlushing: true }), 5)).toBe(Number.POSITIVE_INFINITY)
  })

  test('one writer alone is never held', () => {
    expect(committed(1, 0).heldMs(waiting(1), 6)).toBe(0)
  })

  test('a slow disk: nobody is held longer than the most', () => {
    const grouping = new GroupCommit()
    grouping.flushed(900, 1_000)
    expect(grouping.heldMs(waiting(3, { isCommitted: false }), 1_000)).toBe(HOLD_MS_MAX)
  })

  test('waits that did not pay: the next answers are not waited for, more of them each time', () => {
    const grouping = committed(10, 2)
    const heldAfterNext = (): number[] => {
      const held: number[] = []
      do {
        grouping.committed(10, 2, 5)
        held.push(grouping.heldMs(waiting(2), 5))
      } while (held.at(-1) === 0)
      return held
    }
    grouping.cut(2)
    expect(heldAfterNext()).toEqual([0, 4])
    grouping.cut(2)
    expect(heldAfterNext()).toEqual([0, 0, 4])
    grouping.cut(2)
    expect(heldAfterNext()).toEqual([0, 0, 0, 0, 4])
  })

  test('a wait that paid: they are waited for again, and the next fruitless one counts as the first', () => {
    const grouping = committed(10, 2)
    grouping.cut(2)
    grouping.committed(10, 2, 5)
    grouping.committed(10, 2, 5)
    grouping.cut(12)
    grouping.committed(10, 0, 5)
    expect(grouping.heldMs(waiting(2), 5)).toBe(4)
    grouping.cut(0)
    grouping.committed(10, 0, 5)
    expect(grouping.heldMs(waiting(2), 5)).toBe(0)
    grouping.committed(10, 0, 5)
    expect(grouping.heldMs(waiting(2), 5)).toBe(4)
  })

  test('more than half of those that were answered came back: the wait has paid', () => {
    const grouping = committed(10, 2)
    grouping.cut(7)
    grouping.committed(10, 0, 5)
    expect(grouping.heldMs(waiting(2), 5)).toBe(4)
  })
})
