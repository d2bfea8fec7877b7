/** Carries out what is planned for the leadership of a cluster under load. */
import type { RealCluster } from '../../test/fixtures/real-cluster.ts'
import { FIRST, type Step } from './plan.ts'
import type { Disturbance } from './soak-report.ts'

const RETRY_MS = 100
const DOWN_MS = 1_000
/** What takes longer has failed. */
const STEP_MS_MAX = 90_000

interface LogPosition {
  readonly end: number
  readonly applied: number
}

export async function disturb(nodes: RealCluster, step: Step): Promise<Disturbance> {
  const fromMs = wallMs()
  const leader = await nodes.leader()
  let what: string
  if (step.what === 'transfer') {
    await transfer(nodes, step.to)
    what = `transfer from ${leader.memberId} to ${step.to}`
  } else {
    // Leadership may have gone back by itself.
    if (leader.memberId === FIRST) await transfer(nodes, 2)
    const { memberId, node } = await nodes.leader()
    const ended = step.what === 'kill' ? node.crash() : node.stop()
    nodes.nodes[memberId - 1] = null
    const endedAtMs = wallMs()
    const next = await nodes.leader()
    what = `${step.what} of ${memberId}, ${next.memberId} led ${((wallMs() - endedAtMs) / 1_000).toFixed(1)} s later`
    await ended
    await pause(DOWN_MS)
    await nodes.start(memberId)
    await caughtUp(nodes)
    await transfer(nodes, FIRST)
  }
  await caughtUp(nodes)
  return { what, fromMs, toMs: wallMs() }
}

/** Asks until it leads: a node that has just come may not take over yet. */
export async function transfer(nodes: RealCluster, to: number): Promise<void> {
  for (const endMs = wallMs() + STEP_MS_MAX; ; await pause(RETRY_MS)) {
    const { node } = await nodes.leader()
    const headers = { 'content-type': 'application/json' }
    const said = await fetch(`${node.url}/api/v1/log:transfer`, {
      ...{ method: 'POST', headers, body: JSON.stringify({ to }), signal: AbortSignal.timeout(STEP_MS_MAX) },
    }).then(
      async answered => ({ isOk: answered.ok, text: await answered.text() }),
      (cause: unknown) => ({ isOk: false, text: String(cause) }),
    )
    if (said.isOk && (await nodes.leader()).memberId === to) return
    if (wallMs() > endMs) throw new Error(`member ${to} would not come to lead: ${said.text}`)
  }
}

/** Until each has applied what the log holds now; more is appended all the while. */
async function caughtUp(nodes: RealCluster): Promise<void> {
  const positions = (): Promise<LogPosition[]> =>
    Promise.all(nodes.nodes.map(node => node!.json<LogPosition>('/api/v1/log/status')))
  const end = Math.max(...(await positions()).map(one => one.end))
  for (const endMs = wallMs() + STEP_MS_MAX; ; await pause(RETRY_MS)) {
    const all = await positions()
    if (all.every(({ applied }) => applied >= end)) return
    if (wallMs() > endMs) throw new Error(`a node does not catch up with ${end}: ${JSON.stringify(all)}`)
  }
}

const wallMs = (): number => performance.timeOrigin + performance.now()
const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))
