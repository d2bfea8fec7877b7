import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CrcWindow } from '../../../src/core/log/crc-window.ts'

describe('the checksums of a window', () => {
  test('whatever is put in, taken out and cut off: it knows what a Map knows', () => {
    const position = fc.integer({ min: 1, max: 70_000 })
    const step = fc.oneof(
      fc.record({ type: fc.constant('set' as const), position, crc: fc.nat(0xffff_ffff) }),
      fc.record({ type: fc.constant('delete' as const), position }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), fc.constantFrom(0, 2 ** 40), (steps, offset) => {
        const window = new CrcWindow()
        const map = new Map<number, number>()
        for (const { position: at, ...one } of steps) {
          if (one.type === 'set') {
            window.set(offset + at, one.crc)
            map.set(offset + at, one.crc)
          } else {
            window.delete(offset + at)
            map.delete(offset + at)
          }
        }
        for (const { position: at } of steps) expect(window.get(offset + at)).toBe(map.get(offset + at))
      }),
    )
  })

  test('moving on by 100,000 positions with 8,192 kept: these are known, and none before or after', () => {
    const window = new CrcWindow([[1, 7]])
    for (let at = 2; at <= 100_000; at++) {
      window.set(at, at * 2)
      window.delete(at - 8_192)
    }
    expect([91_808, 91_809, 100_000, 100_001].map(at => window.get(at))).toEqual([
      undefined,
      183_618,
      200_000,
      undefined,
    ])
  })
})
