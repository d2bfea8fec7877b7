/**
 * Which agents people mean by a host name, an agent id, or `attribute=value`. What names nothing is a fault; the first of
 * them also names what comes near. Agents are looked at once, however many names there are, and a long list of mistakes
 * is cut: a request may hold thousands of names, and the leader has other things to do.
 */
import type { AgentId } from '../base/ids.ts'
import type { Fault } from '../base/rejection.ts'
import { nearestName } from '../job/nearest-name.ts'
import type { AgentRow } from '../ledger/rows.ts'

export interface NamedAgents<List extends string> {
  readonly ids: Readonly<Record<List, ReadonlySet<AgentId>>>
  /** The first ones, in the order of the request. */
  readonly faults: readonly Fault[]
  /** Faults beyond those. */
  readonly faultsUnlisted: number
}

export const FAULTS_LISTED_MAX = 20
/** With more to compare with, nothing is suggested: it would take the leader's time. */
export const COMPARED_MAX = 2_000

/** `lists`: names by the list of the request that they stand in, which is the path of its faults. */
export function namedAgents<List extends string>(
  lists: Readonly<Record<List, readonly string[]>>,
  agents: readonly AgentRow[],
): NamedAgents<List> {
  const index = new AgentIndex(agents)
  const faults: Fault[] = []
  let faultsUnlisted = 0
  const ids = {} as Record<List, ReadonlySet<AgentId>>
  for (const [list, names] of Object.entries(lists) as [List, readonly string[]][]) {
    const found = new Set<AgentId>()
    const seen = new Map<string, boolean>()
    names.forEach((name, at) => {
      let isKnown = seen.get(name)
      if (isKnown === undefined) {
        const named = index.named(name)
        for (const id of named) found.add(id)
        isKnown = named.length > 0
        seen.set(name, isKnown)
      }
      if (isKnown) return
      if (faults.length === FAULTS_LISTED_MAX) faultsUnlisted++
      else faults.push({ path: `${list}[${at}]`, text: index.unknownText(name, faults.length === 0) })
    })
    ids[list] = found
  }
  return { ids, faults, faultsUnlisted }
}

class AgentIndex {
  /** By host and by agent id. */
  readonly #byName = new Map<string, AgentId[]>()
  readonly #hosts = new Set<string>()
  readonly #agentIds = new Set<AgentId>()
  /** By attribute, then by value. */
  readonly #byValue = new Map<string, Map<string, AgentId[]>>()

  constructor(agents: readonly AgentRow[]) {
    for (const { agentId, host, attributes } of agents) {
      this.#agentIds.add(agentId)
      this.#hosts.add(host)
      put(this.#byName, host, agentId)
      if (agentId !== host) put(this.#byName, agentId, agentId)
      for (const { name, values } of attributes) {
        const byValue = this.#byValue.get(name) ?? new Map<string, AgentId[]>()
        this.#byValue.set(name, byValue)
        for (const value of values) put(byValue, value, agentId)
      }
    }
  }

  named(name: string): readonly AgentId[] {
    const [attribute, value] = splitAttribute(name)
    if (value === null) return this.#byName.get(name) ?? []
    if (attribute === 'agent') return this.#agentIds.has(value as AgentId) ? [value as AgentId] : []
    return this.#byValue.get(attribute)?.get(value) ?? []
  }

  unknownText(name: string, isSuggesting: boolean): string {
    const [attribute, value] = splitAttribute(name)
    const isSmall = this.#agentIds.size <= COMPARED_MAX
    const near = (wanted: string, known: Iterable<string>): string => {
      const candidates = isSuggesting && isSmall ? [...known] : []
      const nearest = candidates.length > COMPARED_MAX ? undefined : nearestName(wanted, candidates)
      return nearest === undefined ? '' : `; did you mean ${nearest}?`
    }
    if (this.#agentIds.size === 0) return `No agent has registered, so there is no ${name}`
    if (value === null) return `There is no host ${name}${near(name, this.#hosts)}`
    if (attribute === 'agent') return `No agent has ${name}${near(value, this.#agentIds)}`
    const values = this.#byValue.get(attribute)
    if (values === undefined) return `No agent has the attribute ${attribute}${near(attribute, this.#byValue.keys())}`
    return `No agent has ${name}${near(value, values.keys())}`
  }
}

function splitAttribute(name: string): readonly [attribute: string, value: string | null] {
  const at = name.indexOf('=')
  return at < 0 ? [name, null] : [name.slice(0, at), name.slice(at + 1)]
}

function put(index: Map<string, AgentId[]>, name: string, id: AgentId): void {
  const known = index.get(name)
  if (known === undefined) index.set(name, [id])
  else known.push(id)
}
