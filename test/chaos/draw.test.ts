import { describe, expect, test } from 'vitest'
import { prng } from '../../src/core/base/prng.ts'
import { FAULTS, kindOf } from './catalogue.ts'
import { skippedLines } from './chaos.ts'
import { FaultBag } from './draw.ts'

describe('the faults of a seed', () => {
  const draw = (seed: number, count: number) => {
    const bag = new FaultBag(prng(seed), FAULTS)
    return Array.from({ length: count }, () => bag.next())
  }

  test('same seed: the same faults in the same order, with all that chance decides about them', () => {
    expect(draw(7, 100)).toEqual(draw(7, 100))
    expect(draw(7, 100)).not.toEqual(draw(8, 100))
  })

  test('as many draws as there are kinds: every kind has been drawn', () => {
    const firsts = draw(3, FAULTS.length).map(([first]) => first?.name)
    expect(firsts.toSorted()).toEqual([...FAULTS].sort())
  })

  test('one that needs the others to be well: never two at a time', () => {
    const pairs = draw(5, 2_000).filter(faults => faults.length === 2)
    expect(pairs.length).toBeGreaterThan(100)
    expect(pairs.flat().filter(({ name }) => kindOf(name).alone === true)).toEqual([])
  })
})

test('a machine that lacks something: what is left out is said once for each reason', () => {
  const missing = new Map([
    ['network', 'only root can make network namespaces'],
    ['loss', 'only root can make network namespaces'],
    ['preload', 'there is no C compiler `cc` here'],
  ] as const)
  const names = ['kill-leader', 'cut-one-link', 'lossy-leader', 'wall-clock-leader'] as const
  expect(skippedLines(names, missing)).toEqual([
    'skipped, because only root can make network namespaces: cut-one-link, lossy-leader',
    'skipped, because there is no C compiler `cc` here: wall-clock-leader',
  ])
})
