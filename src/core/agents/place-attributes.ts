/**
 * What a machine should say of its place. Nothing forces it to, and then rules of jobs about it pass the machine over:
 * whoever runs the cluster wants to hear of that before a job waits.
 */
import type { AgentRow } from '../ledger/rows.ts'

const WANTED = ['host', 'rack']

/** One sentence for each attribute that is missing, with the remedy. */
export function placeWarnings({ attributes, manager }: Pick<AgentRow, 'attributes' | 'manager'>): readonly string[] {
  const known = new Set(attributes.map(({ name }) => name))
  return WANTED.filter(name => !known.has(name)).map(name => warningOf(name, manager !== undefined))
}

function warningOf(name: string, isManaged: boolean): string {
  const remedy = isManaged
    ? `set the attribute ${name} where the resource manager's agent is started`
    : `set agent.attributes.${name} in its config`
  return `It has no attribute ${name}: jobs with a limit on ${name} are never placed on it, and spreads over ${name} use it last; ${remedy}.`
}
