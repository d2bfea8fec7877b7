/** Whether something grows: over a run, and in its end against its beginning. Pure. */

export interface Point {
  /** Seconds since the load began. */
  readonly atS: number
  readonly value: number
}

/** A run is looked at in so many equal parts; the first one is for getting into a steady state. */
export const PARTS = 6

/**
 * Theil–Sen: the median of the slopes of all pairs, in units of the values per second. One sample in four may be wild
 * without changing much. NaN for fewer than two points.
 */
export function slope(points: readonly Point[]): number {
  const slopes: number[] = []
  for (let right = 1; right < points.length; right++) {
    for (let left = 0; left < right; left++) {
      const widthS = points[right]!.atS - points[left]!.atS
      if (widthS !== 0) slopes.push((points[right]!.value - points[left]!.value) / widthS)
    }
  }
  return median(slopes)
}

/** Those of one part, from 0, of a run that takes `lengthS`. */
export function partOf<T extends { readonly atS: number }>(points: readonly T[], part: number, lengthS: number): T[] {
  const widthS = lengthS / PARTS
  return points.filter(({ atS }) => atS >= part * widthS && (atS < (part + 1) * widthS || part === PARTS - 1))
}

/** What `of` makes of the last part over what it makes of the second one. NaN where either has no points. */
export function drift<T extends { readonly atS: number }>(
  points: readonly T[],
  lengthS: number,
  of: (part: readonly T[]) => number,
): number {
  const early = partOf(points, 1, lengthS)
  const late = partOf(points, PARTS - 1, lengthS)
  return early.length === 0 || late.length === 0 ? Number.NaN : of(late) / of(early)
}

export const meanOf = (points: readonly Point[]): number =>
  points.reduce((sum, { value }) => sum + value, 0) / points.length
export const medianOf = (points: readonly Point[]): number => median(points.map(({ value }) => value))

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
