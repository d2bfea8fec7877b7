import fc from 'fast-check'
import { expect, test } from 'vitest'
import { CallTimer, TimerQueue, type TimerSource } from '../../../src/actors/shell/timer-queue.ts'

/** A source that counts what is armed, and a clock set by hand. */
function makeQueue() {
  const state = { nowMs: 0, armedForMs: [] as number[], wakes: 0 }
  let wake: (() => void) | null = null
  const source: TimerSource = {
    wakeAfter(afterMs, call) {
      state.wakes++
      wake = call
      const dueMs = state.nowMs + afterMs
      state.armedForMs.push(dueMs)
      return () => {
        wake = null
        state.armedForMs = state.armedForMs.filter(armed => armed !== dueMs)
      }
    },
  }
  const queue = new TimerQueue(() => state.nowMs, source)
  return { state, queue, wake: () => wake?.() }
}

test('any course of adding and removing: fires exactly what is left, by moment and then by order of asking', () => {
  const steps = fc.array(fc.record({ dueMs: fc.integer({ min: 0, max: 50 }), removes: fc.option(fc.nat(60)) }), {
    maxLength: 80,
  })
  fc.assert(
    fc.property(steps, course => {
      const { state, queue } = makeQueue()
      const fired: number[] = []
      const timers = course.map((_, index) => new CallTimer(() => void fired.push(index)))
      const waiting = new Map<number, number>()
      course.forEach(({ dueMs, removes }, index) => {
        queue.add(timers[index]!, dueMs)
        waiting.set(index, dueMs)
        if (removes === null || removes > index) return
        queue.remove(timers[removes]!)
        waiting.delete(removes)
      })
      expect(queue.size).toBe(waiting.size)
      const expected = [...waiting].toSorted((a, b) => a[1] - b[1] || a[0] - b[0])
      state.nowMs = 25
      queue.fireDue()
      expect(fired).toEqual(expected.filter(([, dueMs]) => dueMs <= 25).map(([index]) => index))
      state.nowMs = 50
      queue.fireDue()
      expect(fired).toEqual(expected.map(([index]) => index))
      expect(queue.size).toBe(0)
    }),
  )
})

test('a thousand timers: one wake-up is armed, for the earliest', () => {
  const { state, queue } = makeQueue()
  for (let number = 1_000; number > 0; number--) queue.add(new CallTimer(() => {}), number)
  expect(state.armedForMs).toEqual([1])
})

test('nothing waits any more: the next wake-up is the last', () => {
  const { state, queue, wake } = makeQueue()
  const timer = new CallTimer(() => {})
  queue.add(timer, 10)
  queue.remove(timer)
  state.nowMs = 10
  wake()
  expect(queue.nextDueMs).toBe(Number.POSITIVE_INFINITY)
  expect(state.wakes).toBe(1)
})

test('a later timer that was asked for and called off in turn: no new arming each time', () => {
  const { state, queue } = makeQueue()
  queue.add(new CallTimer(() => {}), 5)
  for (let number = 0; number < 1_000; number++) {
    const timer = new CallTimer(() => {})
    queue.add(timer, 100 + number)
    queue.remove(timer)
  }
  expect(state.wakes).toBe(1)
})

test('woken too early: waits again, fires nothing', () => {
  const { state, queue, wake } = makeQueue()
  const fired: string[] = []
  queue.add(new CallTimer(() => void fired.push('due')), 10)
  state.nowMs = 9
  wake()
  expect(fired).toEqual([])
  expect(state.wakes).toBe(2)
  state.nowMs = 10
  wake()
  expect(fired).toEqual(['due'])
})

test('a timer that adds one for the same moment: that waits for the next wake-up, so firing ends', () => {
  const { queue } = makeQueue()
  let fired = 0
  const again = (): void => {
    fired++
    queue.add(new CallTimer(again), 0)
  }
  queue.add(new CallTimer(again), 0)
  queue.fireDue()
  expect(fired).toBe(1)
  expect(queue.size).toBe(1)
})
