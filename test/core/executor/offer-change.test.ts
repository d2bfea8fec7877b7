import { expect, test } from 'vitest'
import { isOfferNews } from '../../../src/core/executor/offer-change.ts'

const offer = { cpusMilli: 4_000, ramMb: 10_000, diskMb: 100_000, gpus: 0 }

test.each([
  ['the same', {}, false],
  ['a core less', { cpusMilli: 3_000 }, true],
  ['a GPU more', { gpus: 1 }, true],
  ['RAM within a hundredth', { ramMb: 9_901 }, false],
  ['RAM beyond it', { ramMb: 9_899 }, true],
  ['a disk that breathes', { diskMb: 100_900 }, false],
  ['a disk that was made larger', { diskMb: 200_000 }, true],
  ['a disk that is gone', { diskMb: 0 }, true],
])('%s: %o is news: %s', (_, more, isNews) => {
  expect(isOfferNews(offer, { ...offer, ...more })).toBe(isNews)
})
