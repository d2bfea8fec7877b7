/** What the two brakes of the leader hold, and how it is told: an operator has to look and then let go. */
export interface Brakes {
  /** So many agents are away at once that their tasks are kept as they are. */
  readonly agentsAway: readonly string[]
  /** By agent, tasks that run there and are unknown to the ledger: too many to kill on a guess. */
  readonly unknownTasks: readonly { readonly agentId: string; readonly host: string; readonly tasks: number }[]
}

export const NO_BRAKES: Brakes = { agentsAway: [], unknownTasks: [] }

const NAMED_MAX = 5

/** One sentence for each brake that holds something, each with the command that releases it. */
export function brakeTexts({ agentsAway, unknownTasks }: Brakes): readonly string[] {
  const texts: string[] = []
  if (agentsAway.length > 0)
    texts.push(
      `a brake holds the tasks of ${counted(agentsAway.length, 'agent')} that went away at once (${named(agentsAway)}): look at the network; if the machines are dead, let go with ${releaseCommand(agentsAway)}`,
    )
  if (unknownTasks.length > 0) {
    const tasks = unknownTasks.reduce((sum, one) => sum + one.tasks, 0)
    const ids = unknownTasks.map(one => one.agentId)
    texts.push(
      `a brake spares ${counted(tasks, 'task')} that the ledger does not know on ${counted(ids.length, 'agent')} (${named(ids)}): was an old backup restored? To kill them: ${releaseCommand(ids)}`,
    )
  }
  return texts
}

function named(ids: readonly string[]): string {
  const more = ids.length - NAMED_MAX
  return ids.slice(0, NAMED_MAX).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`

/** Names the agents while they are few, so that one brake is not let go with the other by accident. */
const releaseCommand = (ids: readonly string[]): string =>
  `daybreak admin release-held ${ids.length <= NAMED_MAX ? ids.join(' ') : 'AGENT…'} --reason TEXT`
