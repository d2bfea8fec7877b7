/**
 * A cluster full of tasks, and groups that wait for room in it: what Aurora's own benchmark of its slot finder has, at
 * any size. Hosts of 8 cores and 16 GB stand two to a rack; a task of 6 cores and 8 GB is alone on its host, except in a
 * crowd. Siblings are production tasks of the job that waits, victims are preemptible tasks of another role.
 * Source: the scheduling spec, section 14.
 */
import { agentId, type ConfigId, configId, taskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { Constraint, Resources, TaskConfig } from '../../src/core/job/task-config.ts'
import type { AgentRow, TaskRow } from '../../src/core/ledger/rows.ts'
import { Tables } from '../../src/core/ledger/tables.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import { OFFER_ORDER_DEFAULT } from '../../src/core/offers/candidate-order.ts'
import { SlotSearch, type SlotsFound } from '../../src/core/preempt/slot-search.ts'
import { VictimIndex } from '../../src/core/preempt/victim-index.ts'
import { Matcher } from '../../src/core/scheduling/matcher.ts'

/** Who waits. */
export const WAITING = {
  /** Wants a host that there is not. */
  denied: configId('denied'),
  /** Would fit in place of any victim. */
  fitting: configId('fitting'),
  /** Larger than any host. */
  large: configId('large'),
  /** Preemptible like the victims, and of their role; nobody has a lower priority. */
  lowest: configId('lowest'),
  /** The same with the priority of the victims: in a crowd one task a host has a lower one, and it is too small. */
  equal: configId('equal'),
  /** The same with a higher priority, and larger than any host. */
  largePeer: configId('large-peer'),
} as const satisfies Record<string, ConfigId>

export interface FullClusterSizes {
  readonly hosts: number
  /** Of the hosts: so many have a sibling (the first ones), so many have victims (the next ones). */
  readonly siblingShare: number
  readonly victimShare: number
  /** Victims a host has, of the size of one together; where there are several, one has a lower priority. */
  readonly victimsPerHost: number
}

const OVERHEAD: Resources = { cpusMilli: 250, ramMb: 128, diskMb: 0, gpus: 0 }
const TASK: Resources = { cpusMilli: 6_000, ramMb: 8_192, diskMb: 131_072, gpus: 0 }
const NOW_MS = 1_000_000

export class FullCluster {
  readonly #tables = new Tables()
  readonly #matcher = new Matcher({
    view: this.#tables,
    overhead: OVERHEAD,
    offerOrder: OFFER_ORDER_DEFAULT,
    random: prng(1),
  })
  readonly #victims: VictimIndex
  readonly #search: SlotSearch
  #seed = 1

  constructor({ hosts, siblingShare, victimShare, victimsPerHost }: FullClusterSizes) {
    this.#put(configs(victimsPerHost))
    const agents = Array.from({ length: hosts }, (_, i) => agent(i))
    this.#put(agents.map(row => ({ type: 'put', table: 'agent', key: row.agentId, row })))
    for (const row of agents) this.#matcher.agentUp(row.agentId)
    const siblings = Math.round(hosts * siblingShare)
    const occupied = Math.min(hosts, siblings + Math.round(hosts * victimShare))
    const tasks: TaskRow[] = []
    for (let on = 0; on < occupied; on++) {
      const isSibling = on < siblings
      for (let n = 0; n < (isSibling ? 1 : victimsPerHost); n++) {
        tasks.push(task(tasks.length, isSibling ? 'sibling' : n > 0 || victimsPerHost === 1 ? 'victim' : 'lower', on))
      }
    }
    this.#put(tasks.map(row => ({ type: 'put', table: 'task', key: row.taskId, row })))
    const askOf = (row: TaskRow) =>
      this.#tables.config(row.configId) === undefined ? null : this.#matcher.askOf(row.configId)
    this.#victims = new VictimIndex(this.#tables, askOf, this.#tiers)
    this.#search = new SlotSearch(this.#matcher, this.#victims, this.#tables)
  }

  /** One search for so many tasks of a group, from a start of its own. */
  search(waiting: ConfigId, count: number): SlotsFound {
    return this.#search.search({ configId: waiting, count, nowMs: NOW_MS, seed: this.#seed++ })
  }

  get #tiers() {
    return { preferred: { preemptible: false, revocable: false }, preemptible: { preemptible: true, revocable: false } }
  }

  #put(changes: readonly RowChange[]): void {
    for (const { change, before } of this.#tables.apply(changes)) this.#matcher.apply(change, before)
  }
}

function configs(victimsPerHost: number): readonly RowChange[] {
  const part: Resources = {
    cpusMilli: Math.floor((TASK.cpusMilli + OVERHEAD.cpusMilli) / victimsPerHost) - OVERHEAD.cpusMilli,
    ramMb: Math.floor((TASK.ramMb + OVERHEAD.ramMb) / victimsPerHost) - OVERHEAD.ramMb,
    diskMb: Math.floor(TASK.diskMb / victimsPerHost),
    gpus: 0,
  }
  const denied: Constraint = { name: 'host', rule: { type: 'value', negated: false, values: ['denied'] } }
  const production = { role: 'jmh', tier: 'preferred', priority: 1, resources: TASK } as const
  const large: Resources = { ...TASK, cpusMilli: 32_000 }
  return [
    config('sibling', production),
    config('victim', { role: 'victim', tier: 'preemptible', priority: 1, resources: part }),
    config(WAITING.denied, { ...production, constraints: [denied] }),
    config(WAITING.fitting, production),
    config(WAITING.large, { ...production, resources: large }),
    config('lower', { role: 'victim', tier: 'preemptible', priority: 0, resources: part }),
    config(WAITING.lowest, { role: 'victim', tier: 'preemptible', priority: 0, resources: TASK }),
    config(WAITING.equal, { role: 'victim', tier: 'preemptible', priority: 1, resources: TASK }),
    config(WAITING.largePeer, { role: 'victim', tier: 'preemptible', priority: 2, resources: large }),
  ]
}

function config(
  id: string,
  what: Pick<TaskConfig, 'tier' | 'priority' | 'resources'> & {
    readonly role: string
    readonly constraints?: readonly Constraint[]
  },
): RowChange {
  const { role, tier, priority, resources, constraints = [] } = what
  return {
    type: 'put',
    table: 'config',
    key: id,
    row: {
      v: 1,
      configId: configId(id),
      config: {
        job: { role, environment: 'dev', name: 'benchmark' },
        owner: 'bench',
        isService: true,
        maxTaskFailures: 1,
        priority,
        production: tier === 'preferred',
        tier,
        resources,
        ports: [],
        constraints,
        metadata: [],
        executor: { name: 'bench', data: '' },
      },
    },
  }
}

function agent(i: number): AgentRow {
  return {
    v: 1,
    agentId: agentId(`a${i}`),
    host: `host-${i}`,
    attributes: [
      { name: 'host', values: [`host-${i}`] },
      { name: 'rack', values: [`rack-${(i + 1) >> 1}`] },
    ],
    total: { cpusMilli: 8_000, ramMb: 16_384, diskMb: 262_144, gpus: 0 },
    portRanges: [[1, 1023]],
    mode: 'NONE',
    agentVersion: '1',
    firstSeenMs: 1,
  }
}

function task(instance: number, config: 'sibling' | 'victim' | 'lower', on: number): TaskRow {
  return {
    v: 1,
    taskId: taskId(`${config}-${instance}`),
    job: { role: config === 'sibling' ? 'jmh' : 'victim', environment: 'dev', name: 'benchmark' },
    instance,
    configId: configId(config),
    status: 'RUNNING',
    version: 1,
    agentId: agentId(`a${on}`),
    host: `host-${on}`,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs: 1 + on, status: 'RUNNING', scheduler: 'bench' }],
  }
}
