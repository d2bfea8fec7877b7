import { describe, expect, test } from 'vitest'
import { TakeOverWatch } from '../../../src/core/log/take-over-watch.ts'

const heard = { type: 'heardLeader', ballot: [1, 3], memberId: 3 } as const
const timeout = { type: 'timeout', attempt: 1 } as const
const serving = { type: 'serving', ballot: [2, 1] } as const
const canvass = { type: 'canvass', roundSeen: 1 } as const
const stand = { type: 'stand', roundSeen: 1 } as const

describe('the parts of a take-over', () => {
  test('silence until the first question, questions until the candidacy that wins, then the election', () => {
    const watch = new TakeOverWatch()
    watch.look(heard, [], 0)
    watch.look(heard, [], 100)
    watch.look(timeout, [canvass], 1_100)
    watch.look(timeout, [canvass], 1_120)
    watch.look(timeout, [stand], 1_125)
    expect(watch.look(serving, [], 1_140)).toEqual({ silence: 1_000, canvass: 25, election: 15 })
  })

  test('a leader that was heard after all begins the count anew', () => {
    const watch = new TakeOverWatch()
    watch.look(heard, [], 0)
    watch.look(timeout, [canvass], 1_000)
    watch.look(heard, [], 1_010)
    watch.look(timeout, [canvass], 2_010)
    watch.look(timeout, [stand], 2_012)
    expect(watch.look(serving, [], 2_020)).toEqual({ silence: 1_000, canvass: 2, election: 8 })
  })

  test('nobody was heard, nobody asked: a voter that is alone, or the second reign of one', () => {
    const watch = new TakeOverWatch()
    watch.look({ type: 'ready', voters: [1] }, [stand], 5)
    expect(watch.look(serving, [], 9)).toEqual({ silence: null, canvass: 0, election: 4 })
    watch.look(timeout, [stand], 20)
    expect(watch.look(serving, [], 26)).toEqual({ silence: null, canvass: 0, election: 6 })
  })
})
