/** Thrown when a run breaks what must hold: the name of the invariant, and what was seen. */
export class Violation extends Error {
  override readonly name = 'Violation'
  readonly invariant: string

  constructor(invariant: string, seen: string) {
    super(`${invariant}: ${seen}`)
    this.invariant = invariant
  }
}

export function holds(condition: boolean, invariant: string, seen: () => string): asserts condition {
  if (!condition) throw new Violation(invariant, seen())
}
