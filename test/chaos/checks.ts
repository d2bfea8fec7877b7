/** What must hold when everything is healed: the clients' memory, every node's log, every node's rows, the processes. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { payloadPart, payloadTransactions } from '../../src/core/ledger/payload.ts'
import { inspectLogStore } from '../../src/runtime/log/lmdb-log-store.ts'
import { openStateStore } from '../../src/runtime/log/lmdb-state-store.ts'
import { stateFolder, storeFolder } from '../../src/runtime/log/log-folder.ts'
import type { JobList, LogStatusView, TaskList } from '../../src/wire/rest.ts'
import { taskProcesses } from '../fixtures/real-node.ts'
import { rowsDigestChange } from '../sim/log/rows-digest.ts'
import type { Client } from './client.ts'
import { digestFault, historyFaults, jobFaults, type LoggedOperation } from './history.ts'
import { leaderOf, memberIds, statusOf, type World, within } from './world.ts'

const SETTLE_MS_MAX = 60_000

/** All vote, one leads, and all have applied the same position. */
export async function settled(world: World): Promise<number | null> {
  return within(world, SETTLE_MS_MAX, async () => {
    const reports = await Promise.all(memberIds(world).map(id => statusOf(world, id)))
    if (!reports.every((report): report is LogStatusView => report?.status === 'VOTING')) return null
    const { commit } = reports[0]!
    const isSame = reports.every(
      report => report.commit === commit && report.end === commit && report.applied === commit,
    )
    return isSame && (await leaderOf(world)) !== null ? commit : null
  })
}

/** Jobs and instances as the clients were told; and for every task that runs one process, and none besides. */
export async function checkLedger(world: World, clients: readonly Client[]): Promise<string> {
  const leader = await leaderOf(world)
  const url = world.cluster.urls[(leader ?? 1) - 1]!
  const known = new Map(clients.flatMap(client => [...client.jobs]))
  const faults = async (): Promise<readonly string[]> => {
    const found: string[] = []
    const active = new Map<string, number>()
    for await (const page of pages<JobList>(url, '/api/v1/jobs?limit=1000')) {
      for (const job of page.jobs) active.set(job.key.name, job.active)
    }
    found.push(...jobFaults([...known.values()], active))
    const running = new Set<string>()
    for await (const page of pages<TaskList>(url, '/api/v1/tasks?limit=1000&status=active')) {
      for (const task of page.tasks) {
        if (task.status === 'RUNNING') running.add(task.taskId)
        else if (task.status !== 'PENDING') found.push(`${task.taskId} is still ${task.status}`)
        else if (known.get(task.job.name)?.kind === 'running') found.push(`${task.taskId} is not placed`)
      }
    }
    const processes = taskProcesses(world.folder).filter(process => process.command === 'sleep')
    for (const id of running) {
      const count = processes.filter(process => process.taskId === id).length
      if (count !== 1) found.push(`${id} is RUNNING with ${count} processes`)
    }
    for (const { taskId, pid } of processes) {
      if (!running.has(taskId)) found.push(`process ${pid} belongs to ${taskId}, which does not run`)
    }
    return found
  }
  // Kills and placements take their time; what is wrong for a minute is wrong.
  let last: readonly string[] = []
  await within(world, SETTLE_MS_MAX, async () => {
    last = await faults()
    return last.length === 0 ? true : null
  })
  for (const text of last) world.violation(text)
  const killed = [...known.values()].filter(job => job.killed).length
  return `${known.size} jobs, ${killed} of them killed, are in the ledger as acknowledged; every running task has its process`
}

/** The same entries everywhere; every acknowledged operation in it, once, and in the order of its client. */
export async function checkLogs(world: World, clients: readonly Client[], commit: number): Promise<string> {
  const digests: string[] = []
  const reports = await Promise.all(memberIds(world).map(id => statusOf(world, id)))
  // What one has truncated cannot be compared.
  const begin = Math.max(1, ...reports.map(report => report?.begin ?? 1))
  for (const id of memberIds(world)) {
    const hash = createHash('sha256')
    const operations: LoggedOperation[] = []
    const url = `${world.cluster.urls[id - 1]}/api/v1/log/entries`
    for (let from = begin; from <= commit; ) {
      const response = await fetch(`${url}?from=${from}&to=${commit}`)
      if (!response.ok) throw new Error(`node ${id}, entries from ${from}: ${response.status} ${await response.text()}`)
      const page = (await response.json()) as EntriesPage
      for (const { position, ballot, type, payload } of page.entries) {
        hash.update(`${position} ${ballot.join('.')} ${type} ${payload}\n`)
        const bytes = Buffer.from(payload, 'base64')
        if (type !== 'DATA' || payloadPart(bytes) !== null) continue
        for (const { cause } of payloadTransactions(bytes)) {
          if (cause.requestId !== undefined) operations.push({ requestId: cause.requestId, why: cause.why })
        }
      }
      from = page.next ?? commit + 1
    }
    digests.push(hash.digest('hex'))
    const acknowledged = clients.map(client => client.acknowledged)
    for (const fault of historyFaults(operations, acknowledged, begin === 1)) {
      world.violation(`node ${id}: ${fault}`)
    }
  }
  const fault = digestFault('logs', digests)
  if (fault !== null) world.violation(fault)
  return `the log from ${begin} to ${commit} is ${digests[0]?.slice(0, 12)} on all ${digests.length} nodes, every acknowledged operation in it once and in order`
}

interface EntriesPage {
  readonly entries: readonly { position: number; ballot: readonly number[]; type: string; payload: string }[]
  readonly next: number | null
}

/** Of nodes that are down. */
export async function checkRows(world: World, commit: number): Promise<string> {
  const digests: number[] = []
  for (const id of memberIds(world)) {
    const path = join(world.cluster.dataDirs[id - 1]!, 'log')
    const log = await inspectLogStore(storeFolder(path))
    const { clusterId, incarnation, begin, end } = log.meta
    await log.close()
    const state = await openStateStore(stateFolder(path), { clusterId, incarnation }, { begin, end }, because =>
      world.violation(`node ${id}: its rows are not to be used: ${because}`),
    )
    if (state.applied !== commit)
      world.violation(`node ${id}: its rows are of position ${state.applied}, not ${commit}`)
    let digest = 0
    for (let cursor: Parameters<typeof state.readRows>[0] = null; ; ) {
      const page = state.readRows(cursor, 1_000)
      for (const { table, key, bytes } of page.rows) {
        digest = rowsDigestChange(digest, `${table} ${key}`, undefined, bytes)
        cursor = { table, key }
      }
      if (page.done) break
    }
    digests.push(digest)
    await state.close()
  }
  const fault = digestFault('rows', digests)
  if (fault !== null) world.violation(fault)
  return `rows of position ${commit} have the digest ${digests[0]?.toString(16)} on all ${digests.length} nodes`
}

async function* pages<T extends { readonly next: string | null }>(url: string, path: string): AsyncGenerator<T> {
  for (let cursor: string | null = null; ; ) {
    const more = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const response = await fetch(url + path + more)
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    const page = (await response.json()) as T
    yield page
    if (page.next === null) return
    cursor = page.next
  }
}
