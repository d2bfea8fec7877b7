/** Thrown when a rule of the program itself is broken: a bug, never a matter of input. */
export class BrokenRule extends Error {
  override readonly name = 'BrokenRule'
  readonly values: Readonly<Record<string, unknown>>

  constructor(rule: string, values: Readonly<Record<string, unknown>>) {
    const shown = Object.entries(values).map(([key, value]) => `${key}=${String(value)}`)
    super(shown.length === 0 ? rule : `${rule} (${shown.join(', ')})`)
    this.values = values
  }
}

/** States a rule in words. Stays on in production; one condition each, stated positively. */
export function assert(holds: boolean, rule: string, values: Readonly<Record<string, unknown>> = {}): asserts holds {
  if (!holds) throw new BrokenRule(rule, values)
}

/** The default branch of an exhaustive switch. */
export function assertNever(value: never, rule = 'every case is handled'): never {
  throw new BrokenRule(rule, { value: JSON.stringify(value) })
}
