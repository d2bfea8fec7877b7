/** How the turns of an operation are laid over what there is to ask for, and what they come to. */
import { percentile } from '../bench.ts'

/** One operation, asked for again and again until the node has used so much processor time. */
export interface Turn {
  /** Of all threads of the node, for all that was asked. */
  readonly cpuMicros: number
  readonly asked: number
  readonly p50Ms: number
}

/**
 * What an operation asks for, as a number that counts up within a turn: so far apart that no turn asks for what another
 * has asked for, as far as there are so many. `things`: null where the operation always asks for the same, or for new ones.
 */
export function firstOfTurn(things: number | null, turn: number, turns: number): number {
  return things === null ? turn * NEW_ONES_APART : Math.floor((turn / turns) * things)
}
const NEW_ONES_APART = 1_000_000

/** True when a turn has gone into what the next one asks for: there was not enough for all of them. */
export function hasAskedAgain(things: number | null, turns: number, asked: number): boolean {
  return things !== null && asked > Math.floor(things / turns)
}

/** Per operation, from its turns in one run: the turn in the middle, which a collection of the whole heap does not decide. */
export function middleOf(turns: readonly Turn[]): { readonly cpuMicros: number; readonly p50Ms: number } {
  const middle = (of: (turn: Turn) => number): number => percentile(turns.map(of), 0.5)
  return { cpuMicros: middle(({ cpuMicros, asked }) => cpuMicros / asked), p50Ms: middle(({ p50Ms }) => p50Ms) }
}

/** `byOperation`: the turns of each. All of them count, whatever fell into them; each operation counts as much as another. */
export function meanMicrosOf(byOperation: readonly (readonly Turn[])[]): number {
  const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)
  const costs = byOperation.map(
    turns => sum(turns.map(({ cpuMicros }) => cpuMicros)) / sum(turns.map(({ asked }) => asked)),
  )
  return sum(costs) / costs.length
}

export interface AskedAgain {
  readonly tasks: number
  readonly operations: readonly string[]
}

/** One line for the notes: where turns were not all about different things. `sides` from the smallest to the largest. */
export function askedAgainNote(sides: readonly AskedAgain[]): string {
  const some = sides
    .filter(({ operations }) => operations.length > 0)
    .map(({ tasks, operations }) => `with ${tasks.toLocaleString('en-US')} tasks (${operations.join(', ')})`)
  const all =
    'no two turns of an operation ask for the same job, host or role, so that none finds what another has brought near'
  return some.length === 0 ? all : `${all}, but where there are too few and turns begin again: ${some.join('; ')}`
}
