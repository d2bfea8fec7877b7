/** The known name a mistyped one most likely meant, or undefined when none is near. Case and `-`/`_` do not count. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll('-', '_')
  const scored = known.map(candidate => ({ candidate, steps: distance(plain(name), plain(candidate)) }))
  const best = scored.reduce((a, b) => (b.steps < a.steps ? b : a), { candidate: '', steps: Number.POSITIVE_INFINITY })
  const near = Math.max(1, Math.floor(Math.max(name.length, best.candidate.length) / 3))
  return best.steps <= near ? best.candidate : undefined
}

/** Damerau's distance: insertions, deletions, changes, and neighbours that swapped places. */
function distance(a: string, b: string): number {
  if (a.length > 64 || b.length > 64) return Number.POSITIVE_INFINITY
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      let best = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, rows[i - 2]![j - 2]! + 1)
      row.push(best)
    }
    rows.push(row)
  }
  return rows[a.length]![b.length]!
}
