/**
 * Which agents people mean by a host name, an agent id, or `attribute=value`. What names nothing is a fault that names
 * what comes near.
 */
import type { AgentId } from '../base/ids.ts'
import type { Fault } from '../base/rejection.ts'
import { nearestName } from '../job/nearest-name.ts'
import type { AgentRow } from '../ledger/rows.ts'

export interface NamedAgents {
  readonly ids: ReadonlySet<AgentId>
  readonly faults: readonly Fault[]
}

/** `path`: of the list in the request. */
export function namedAgents(names: readonly string[], agents: readonly AgentRow[], path: string): NamedAgents {
  const ids = new Set<AgentId>()
  const faults: Fault[] = []
  names.forEach((name, at) => {
    const found = agentsNamed(name, agents)
    for (const { agentId } of found) ids.add(agentId)
    if (found.length === 0) faults.push({ path: `${path}[${at}]`, text: unknownText(name, agents) })
  })
  return { ids, faults }
}

function agentsNamed(name: string, agents: readonly AgentRow[]): readonly AgentRow[] {
  const [attribute, value] = splitAttribute(name)
  if (value === null) return agents.filter(row => row.host === name || row.agentId === name)
  if (attribute === 'agent') return agents.filter(row => row.agentId === value)
  return agents.filter(row => row.attributes.some(one => one.name === attribute && one.values.includes(value)))
}

function splitAttribute(name: string): readonly [attribute: string, value: string | null] {
  const at = name.indexOf('=')
  return at < 0 ? [name, null] : [name.slice(0, at), name.slice(at + 1)]
}

function unknownText(name: string, agents: readonly AgentRow[]): string {
  const [attribute, value] = splitAttribute(name)
  const near = (known: readonly string[], wanted: string): string => {
    const nearest = nearestName(wanted, [...new Set(known)])
    return nearest === undefined ? '' : `; did you mean ${nearest}?`
  }
  if (agents.length === 0) return `No agent has registered, so there is no ${name}`
  if (value === null)
    return `There is no host ${name}${near(
      agents.map(row => row.host),
      name,
    )}`
  const names = agents.flatMap(row => row.attributes.map(one => one.name))
  if (attribute !== 'agent' && !names.includes(attribute)) {
    return `No agent has the attribute ${attribute}${near(names, attribute)}`
  }
  const values = agents.flatMap(row => row.attributes.filter(one => one.name === attribute).flatMap(one => one.values))
  return `No agent has ${name}${near(attribute === 'agent' ? agents.map(row => row.agentId) : values, value)}`
}
