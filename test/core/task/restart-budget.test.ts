import { describe, expect, test } from 'vitest'
import { RestartBudget } from '../../../src/core/task/restart-budget.ts'

const waits = (budget: RestartBudget, job: string, count: number, nowMs: number): number[] =>
  Array.from({ length: count }, () => budget.take(job, nowMs).waitMs)

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
    for (let nowMs = 0; nowMs < 60_000; nowMs += 50) goAtMs.push(nowMs + budget.take('a', nowMs).waitMs)
    expect(goAtMs.filter(atMs => atMs <= 60_000).length).toBeLessThanOrEqual(7 * (60 + 10))
  })

  test('another job beside it waits for nothing', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    expect(waits(budget, 'a', 50, 0).at(-1)).toBe(40_000)
    expect(budget.take('b', 0)).toEqual({ waitMs: 0, isNews: false })
  })

  test('quiet for as long as it took too much: the whole burst is there again', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    waits(budget, 'a', 30, 0)
    expect(waits(budget, 'a', 11, 30_000)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1000])
  })

  test('told of once a minute, not with every task', () => {
    const budget = new RestartBudget({ restartsPerSecond: 1 })
    const news = (nowMs: number) =>
      Array.from({ length: 30 }, () => budget.take('a', nowMs)).filter(held => held.isNews)
    expect([news(0).length, news(59_999).length, news(60_000).length]).toEqual([1, 0, 1])
  })

  test('tens of thousands of jobs flap once: those that are quiet again are forgotten', () => {
    const budget = new RestartBudget({ restartsPerSecond: 100 })
    for (let n = 0; n < 35_000; n++) budget.take(`job-${n}`, n)
    expect(budget.size).toBeLessThanOrEqual(10_000)
  })
})
