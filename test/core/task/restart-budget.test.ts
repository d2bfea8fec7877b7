import { describe, expect, test } from 'vitest'
import { placesTakenMsAgo, RestartBudget } from '../../../src/core/task/restart-budget.ts'
import { taskRow } from '../../fixtures/rows.ts'

const never = () => []
const waits = (budget: RestartBudget, job: string, count: number, nowMs: number): number[] =>
  Array.from({ length: count }, () => budget.take(job, nowMs, never).waitMs)

describe('a job whose tasks flap', () => {
  test('the first ten seconds worth go at once, the others evenly spaced', () => {
    const budget = new RestartBudget({ restartsPerSecond: 100 })
    const all = waits(budget, 'a', 1200, 5000)
    expect(all.slice(0, 1000).every(waitMs => waitMs === 0)).toBe(true)
    expect(all.slice(1000)).toEqual(Array.from({ length: 200 }, (_, n) => (n + 1) * 10))
  })

  test('over any time no more than its rate and the burst are let go', () => {
    const budget = new RestartBudget({ restartsPerSecond: 7 })
    const goAtMs: number[] = []
    for (let nowMs = 0; nowMs < 60_000; nowMs += 50) goAtMs.push(nowMs + budget.take('a', nowMs, never).waitMs)
    expect(goAtMs.filter(atMs => atMs <= 60_000).length).toBeLessThanOrEqual(7 * (60 + 10))
  })

  test('another job beside it waits for nothing', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    expect(waits(budget, 'a', 50, 0).at(-1)).toBe(40_000)
    expect(budget.take('b', 0, never)).toEqual({ waitMs: 0, isNews: false })
  })

  test('quiet for as long as it took too much: the whole burst is there again', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    waits(budget, 'a', 30, 0)
    expect(waits(budget, 'a', 11, 30_000)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000])
  })

  test('told of once a minute, not with every task', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    const news = (nowMs: number) =>
      Array.from({ length: 30 }, () => budget.take('a', nowMs, never)).filter(held => held.isNews)
    expect([news(0).length, news(59_999).length, news(60_000).length]).toEqual([1, 0, 1])
  })

  test('tens of thousands of jobs flap once: those that are quiet again are forgotten', () => {
    const budget = new RestartBudget({ restartsPerSecond: 100 })
    for (let n = 0; n < 35_000; n++) budget.take(`job-${n}`, n, never)
    expect(budget.size).toBeLessThanOrEqual(10_000)
  })

  test('a new leader: the line goes on where it was, in whatever order the rows come and however the clocks differ', () => {
    const before = new RestartBudget({ restartsPerSecond: 1 })
    waits(before, 'a', 15, 0)
    const taken = () => Array.from({ length: 15 }, (_, n) => (n % 2 === 0 ? 2_000 : 1_990))
    const after = new RestartBudget({ restartsPerSecond: 1 })
    expect(before.take('a', 2_000, never).waitMs).toBe(4_000)
    expect(after.take('a', 700_000, taken).waitMs).toBe(4_000)
    const ahead = new RestartBudget({ restartsPerSecond: 1 })
    expect(ahead.take('a', 700_000, () => taken().map(() => -60_000)).waitMs, 'as if taken now').toBe(6_000)
  })

  test('a new leader, the last places were taken long ago: the whole burst is there', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    const longAgo = () => Array.from({ length: 500 }, () => 600_000)
    expect(Array.from({ length: 11 }, () => budget.take('a', 0, longAgo).waitMs).slice(-2)).toEqual([0, 1000])
  })

  test('places were taken by replacements of tasks that flapped, when they were made', () => {
    const born = (atMs: number, flapCount?: number) =>
      taskRow(`t${atMs}`, {
        events: [
          { atMs, status: 'THROTTLED', scheduler: 's' },
          { atMs: 900, status: 'PENDING', scheduler: 's' },
        ],
        ...(flapCount === undefined ? {} : { flapCount }),
      })
    expect(placesTakenMsAgo([born(100, 1), born(200), born(300, 7)], 1_000)).toEqual([900, 700])
  })
})
