import { describe, expect, test } from 'vitest'
import { LeaderSearch, REDIRECTS_MAX } from '../../../src/core/executor/leader-search.ts'

const A = 'http://10.0.0.1:8081'
const B = 'http://10.0.0.2:8081'

describe('where an agent looks for its leader', () => {
  test('two addresses, nobody answers: in turn; the first failure is news, the next only after a while', () => {
    const search = new LeaderSearch([A, B], 30_000)
    expect(search.url).toBe(A)
    expect(search.failed(0, 0.5)).toEqual({ url: A, afterMs: 250, failures: 1, isNews: true })
    expect(search.url).toBe(B)
    expect(search.failed(0, 0.5)).toEqual({ url: B, afterMs: 500, failures: 2, isNews: false })
    expect(search.url).toBe(A)
  })

  test('no addresses: nowhere', () => {
    expect(new LeaderSearch([], 30_000).url).toBeNull()
  })

  test('sent on: there next; a circle ends after five, and it begins anew at the next address', () => {
    const search = new LeaderSearch([A, B], 30_000)
    for (let n = 0; n < REDIRECTS_MAX; n++) {
      expect(search.redirected(`http://10.0.1.${n}:8081`)).toBe(true)
      expect(search.url).toBe(`http://10.0.1.${n}:8081`)
    }
    expect(search.redirected(A)).toBe(false)
    expect(search.failed(0, 0).url).toBe('http://10.0.1.4:8081')
    expect(search.url).toBe(B)
    expect(search.redirected(A)).toBe(true)
  })

  test('what began with https is not sent on to http, where all can be read; http may go over to https', () => {
    const search = new LeaderSearch(['https://10.0.0.1:8081', A], 30_000)
    expect(search.redirected(`${B}/agent/v1`)).toBe(false)
    expect(search.redirected('https://10.0.0.2:8081/agent/v1')).toBe(true)
    expect(search.redirected('ws://10.0.0.2:8081/agent/v1')).toBe(false)
    search.failed(0, 0)
    expect(search.url).toBe(A)
    expect(search.redirected('https://10.0.0.2:8081/agent/v1')).toBe(true)
  })

  test('told to come back later: no dial before that moment, whatever the pause', () => {
    const search = new LeaderSearch([A], 30_000)
    search.rejected(61_000)
    expect(search.failed(1_000, 0).afterMs).toBe(60_000)
    expect(search.failed(70_000, 0).afterMs).toBe(0)
  })

  test('a connection that held: pauses begin small again', () => {
    const search = new LeaderSearch([A], 30_000)
    for (let n = 0; n < 10; n++) search.failed(0, 0.5)
    expect(search.failed(0, 0.5).afterMs).toBe(15_000)
    search.held()
    expect(search.failed(0, 0.5).afterMs).toBe(250)
  })
})
