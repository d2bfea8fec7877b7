/**
 * What clients were told, against what a node's log says: nothing that was acknowledged is missing, nothing is in it
 * twice, and the operations of one client are in its order. Pure, so that a wrong history can be shown to it.
 */

/** One transaction of the log: which request it answers and why it was written. */
export interface LoggedOperation {
  readonly requestId: string
  readonly why: string
}

/** The reason that the creation of a job gives; a kill may rightly write several transactions, a creation never. */
export const CREATION = 'job create'

/**
 * `acknowledged`: request ids by client, each in the order of its client. `isWhole`: the log still has its beginning; else
 * what a client was told before the first operation that is still there may be gone. Answers what is wrong, in words.
 */
export function historyFaults(
  log: readonly LoggedOperation[],
  acknowledged: readonly (readonly string[])[],
  isWhole = true,
): readonly string[] {
  const order = new Map<string, number>()
  const creations = new Map<string, number>()
  for (const { requestId, why } of log) {
    if (!order.has(requestId)) order.set(requestId, order.size)
    if (why === CREATION) creations.set(requestId, (creations.get(requestId) ?? 0) + 1)
  }
  const faults: string[] = []
  for (const [requestId, times] of creations) {
    if (times !== 1) faults.push(`${requestId} is in the log ${times} times`)
  }
  for (const requests of acknowledged) {
    let last = -1
    for (const requestId of requests) {
      const at = order.get(requestId)
      if (at === undefined && last === -1 && !isWhole) continue
      if (at === undefined) faults.push(`${requestId} was acknowledged and is not in the log`)
      else if (at < last) faults.push(`${requestId} is in the log before what came before it`)
      else last = at
    }
  }
  return faults
}

/** Of nodes that must hold the same; null when they do. `digests`: by member id - 1. */
export function digestFault(what: string, digests: readonly (string | number)[]): string | null {
  if (new Set(digests).size <= 1) return null
  return `${what} differ: ${digests.map((digest, at) => `node ${at + 1} has ${digest}`).join(', ')}`
}

export interface JobCount {
  readonly name: string
  readonly instances: number
  readonly killed: boolean
}

/** `active`: instances in the ledger, by job. */
export function jobFaults(known: readonly JobCount[], active: ReadonlyMap<string, number>): readonly string[] {
  const faults: string[] = []
  for (const { name, instances, killed } of known) {
    const [has, wanted] = [active.get(name) ?? 0, killed ? 0 : instances]
    if (has !== wanted) faults.push(`${name} has ${has} active instances, the clients know of ${wanted}`)
  }
  const names = new Set(known.map(job => job.name))
  for (const [name, count] of active) if (!names.has(name) && count > 0) faults.push(`nobody knows of ${name}`)
  return faults
}
