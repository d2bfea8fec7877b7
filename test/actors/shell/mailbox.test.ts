import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Ring, RingPool } from '../../../src/actors/shell/mailbox.ts'

test('any course of pushes, shifts and removals: the ring holds what a plain array would', () => {
  const steps = fc.array(fc.oneof(fc.constant('push'), fc.constant('shift'), fc.constant('removeOdd')), {
    maxLength: 400,
  })
  fc.assert(
    fc.property(steps, course => {
      const ring = new Ring<number>()
      let model: number[] = []
      let next = 0
      for (const step of course) {
        if (step === 'push') {
          ring.push(next)
          model.push(next++)
        } else if (step === 'shift' && model.length > 0) {
          expect(ring.shift()).toBe(model.shift())
        } else if (step === 'removeOdd') {
          const odd = model.find(item => item % 2 === 1)
          expect(ring.removeFirst(item => item % 2 === 1)).toBe(odd)
          model = model.filter(item => item !== odd)
        }
        expect(ring.size).toBe(model.length)
        expect(ring.peek()).toBe(model[0])
      }
      while (model.length > 0) expect(ring.shift()).toBe(model.shift())
    }),
  )
})

test('age of the oldest: never later than it was queued, at most one drain earlier', () => {
  const ring = new Ring<number>()
  // Items are the moments at which they were queued.
  ring.push(100)
  ring.stamp(100)
  ring.push(150)
  expect(ring.oldestMs).toBe(100)
  ring.shift()
  ring.push(190)
  ring.remark(1, 200)
  expect(ring.oldestMs).toBe(100)
  ring.push(250)
  ring.shift()
  ring.shift()
  ring.remark(2, 300)
  // 250 is the oldest now; the drain at 200 is the nearest moment known to be before it.
  expect(ring.oldestMs).toBe(200)
})

test('the pool: lends a ring again, but not one that a burst has made big, and not without bound', () => {
  const pool = new RingPool()
  const small = pool.take()
  pool.give(small)
  expect(pool.take()).toBe(small)
  const big = pool.take()
  for (let number = 0; number < 20_000; number++) big.push(number)
  while (big.size > 0) big.shift()
  pool.give(big)
  expect(pool.take()).not.toBe(big)
  const many = Array.from({ length: 1_000 }, () => pool.take())
  for (const ring of many) pool.give(ring)
  const lentAgain = new Set(Array.from({ length: 1_000 }, () => pool.take()))
  expect(many.filter(ring => lentAgain.has(ring)).length).toBeLessThanOrEqual(64)
})
