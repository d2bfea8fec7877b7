/** Whether two small samples differ in place: Mann and Whitney's test, which asks only for an order of the values. */

/** Beyond this many values of one sample the exact count costs more than the normal approximation is off. */
const EXACT_MAX = 20

/**
 * The chance, 0 to 1, that two samples of one and the same source lie at least as far apart in their ranks as these do,
 * on either side. Equal values share the mean of their ranks. 1 for an empty sample.
 */
export function rankTest(left: readonly number[], right: readonly number[]): number {
  if (left.length === 0 || right.length === 0) return 1
  const ranks = doubledRanks([...left, ...right])
  return Math.max(left.length, right.length) <= EXACT_MAX ? exact(ranks, left.length) : approximate(ranks, left.length)
}

/** The least that `rankTest` can say of samples of these sizes: when all of one lie above all of the other. */
export function rankTestLeast(left: number, right: number): number {
  return rankTest(
    Array.from({ length: left }, (_, at) => at),
    Array.from({ length: right }, (_, at) => left + at),
  )
}

/** Twice the rank of each value, so that means of ranks are whole numbers. */
function doubledRanks(values: readonly number[]): readonly number[] {
  return values.map(value => {
    const below = values.filter(other => other < value).length
    const equal = values.filter(other => other === value).length
    return 2 * below + equal + 1
  })
}

/** Counts every choice of `size` of the ranks by its sum. */
function exact(ranks: readonly number[], size: number): number {
  const total = ranks.reduce((sum, rank) => sum + rank, 0)
  const ways = Array.from({ length: size + 1 }, () => new Float64Array(total + 1))
  ways[0]![0] = 1
  for (const rank of ranks) {
    for (let taken = size; taken >= 1; taken--) {
      const [to, from] = [ways[taken]!, ways[taken - 1]!]
      for (let sum = total; sum >= rank; sum--) to[sum] = to[sum]! + from[sum - rank]!
    }
  }
  const middle = (total * size) / ranks.length
  const seen = Math.abs(ranks.slice(0, size).reduce((sum, rank) => sum + rank, 0) - middle)
  let [far, all] = [0, 0]
  for (const [sum, count] of ways[size]!.entries()) {
    all += count
    if (Math.abs(sum - middle) >= seen - 1e-9) far += count
  }
  return far / all
}

/** Normal approximation; shared ranks lower the spread by themselves, because it is taken from the ranks. */
function approximate(ranks: readonly number[], size: number): number {
  const mean = ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length
  const spread = ranks.reduce((sum, rank) => sum + (rank - mean) ** 2, 0) / (ranks.length - 1)
  const deviation = Math.sqrt((size * (ranks.length - size) * spread) / ranks.length)
  if (deviation === 0) return 1
  const off = Math.abs(ranks.slice(0, size).reduce((sum, rank) => sum + rank, 0) - size * mean) / deviation
  return Math.min(1, 2 * upperTail(off))
}

/** Of the standard normal distribution: Abramowitz and Stegun 26.2.17, off by less than 1e-7. */
function upperTail(z: number): number {
  const t = 1 / (1 + 0.231_641_9 * z)
  const poly =
    t * (0.319_381_53 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))))
  return (Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI)) * poly
}
