/**
 * Many simulated agents in one process, over real WebSockets with the agent's real messages. Their tasks go on when the
 * benchmark says so: statuses at a rate or so many at once, or by themselves after each launch.
 */
import { createHmac } from 'node:crypto'
import type { Connection } from '../../src/actors/ports.ts'
import { prng } from '../../src/core/base/prng.ts'
import { isLive, type TaskRecord } from '../../src/core/executor/agent-book.ts'
import { createAgentDialer } from '../../src/runtime/ws-agent-dialer.ts'
import { agentKey, agentProof, type Hmac } from '../../src/wire/agent-proof.ts'
import type { AgentToLeader, LeaderToAgent } from '../../src/wire/messages/agent.ts'
import { SimAgent } from '../../test/fixtures/sim-agent.ts'
import { answer } from '../log/child.ts'

export interface AgentsSpec {
  readonly urls: readonly string[]
  readonly secret: string
  readonly agents: readonly { readonly id: string; readonly host: string }[]
}

export interface Launch {
  readonly job: string
  readonly atMs: number
}

export interface StatusRound {
  readonly acknowledged: number
  readonly seconds: number
  /** From the moment a status was due to its acknowledgement, which comes after the commit. */
  readonly tookMs: readonly number[]
  readonly cpuMicros: number
}

export type AgentQuestions = {
  /** Connects them all; answers when the leader has taken every one in. */
  connect: { readonly ask: AgentsSpec; readonly answer: null }
  /** How many live tasks they hold. */
  live: { readonly ask: null; readonly answer: number }
  /** How many tasks were ever launched here. */
  launched: { readonly ask: null; readonly answer: number }
  /** Of jobs whose name begins so: when each of their tasks was launched here, wall ms, in the order of arrival. */
  launches: { readonly ask: { readonly of: string }; readonly answer: readonly Launch[] }
  /** Statuses of the live tasks, so many a second for so long. */
  paced: { readonly ask: { readonly perSecond: number; readonly ms: number }; readonly answer: StatusRound }
  /** So many statuses, with so many unacknowledged at any time. */
  rushed: { readonly ask: { readonly statuses: number; readonly inFlight: number }; readonly answer: StatusRound }
  /** From now on launched tasks run by themselves; those of jobs whose name begins with `crashing` fail at once. */
  runByThemselves: { readonly ask: { readonly crashing: string }; readonly answer: null }
  /** From now on launched tasks run for a time drawn between these, and then finish; killed ones end. */
  liveByThemselves: { readonly ask: LifeSpan; readonly answer: null }
  /** Launches that were taken and statuses that were acknowledged, so far. */
  changes: { readonly ask: null; readonly answer: number }
}

export interface LifeSpan {
  readonly leastMs: number
  readonly mostMs: number
}

const TICK_MS = 5
const HEARTBEAT_MS = 5_000
const REDIAL_MS = 200
const ROUND_MS_MAX = 120_000

interface Waiting {
  readonly seq: number
  readonly dueMs: number
}

/** Tasks whose next status may be said: first all that are to start, then those to run, then those to finish. */
let queue: [SimAgent, string][] = []
let queueAt = 0
const waiting = new Map<string, Waiting>()
const agents: SimAgent[] = []
let onAcknowledged: (dueMs: number) => void = () => {}
let crashing: string | null = null
let lifeSpan: LifeSpan | null = null
const random = prng(1)
let changes = 0

const hmac: Hmac = (key, text) => createHmac('sha256', key).update(text).digest('hex')

async function connect({ urls, secret, agents: specs }: AgentsSpec): Promise<null> {
  for (const { id, host } of specs) {
    const agent = new SimAgent(host, [])
    agent.agentId = id
    agents.push(agent)
  }
  const key = agentKey(hmac, secret)
  await Promise.all(agents.map(agent => keepConnected(agent, urls, key)))
  setInterval(() => {
    for (const agent of agents) {
      agent.heartbeat()
      agent.pump(Number.POSITIVE_INFINITY)
    }
  }, HEARTBEAT_MS)
  return null
}

/** Settles when it is taken in for the first time. */
async function keepConnected(agent: SimAgent, urls: readonly string[], key: string): Promise<void> {
  let ready: () => void = () => {}
  const first = new Promise<void>(resolve => {
    ready = resolve
  })
  void (async () => {
    for (let turn = 0; ; turn++) {
      await session(agent, urls[turn % urls.length]!, key, ready).catch(() => {})
      await new Promise(done => setTimeout(done, REDIAL_MS))
    }
  })()
  return first
}

/** Settles when the connection has ended. */
async function session(agent: SimAgent, url: string, key: string, ready: () => void): Promise<void> {
  const dialed = await createAgentDialer().dial(url)
  if ('redirect' in dialed) return session(agent, dialed.redirect, key, ready)
  const { connection: socket, nonce } = dialed
  return new Promise(ended => {
    agent.connect({
      onConnection: (connection: Connection<AgentToLeader, LeaderToAgent>) => {
        // What the agent sends is handed to `connection` when it is pumped, and goes out here.
        connection.onMessage = message => socket.send(proven(message, nonce, key))
        connection.onClose = (code, reason) => socket.close(code, reason)
        socket.onClose = () => {
          agent.disconnect()
          ended()
        }
        socket.onMessage = message => {
          connection.send(message)
          if (message.type === 'STATUS_ACK') for (const { taskId, seq } of message.acks) acknowledged(taskId, seq)
          if (message.type === 'KILL') unseenKills.push([agent, message.taskId])
          if (message.type === 'TASKS_DONE') for (const id of message.kill) unseenKills.push([agent, id])
          if (message.type === 'LAUNCH') tookLaunches(agent, message.tasks)
          takeSoon(agent, ready)
        }
      },
    } as Parameters<SimAgent['connect']>[0])
    agent.pump(Number.POSITIVE_INFINITY)
  })
}

/** Launches that an agent has not looked at yet. */
const unseen = new Map<SimAgent, string[]>()
const unseenKills: [SimAgent, string][] = []
const isPumped = new Set<SimAgent>()
/** By task: repeated launches count once. */
const launches = new Map<string, Launch>()

type LaunchedTask = Extract<LeaderToAgent, { type: 'LAUNCH' }>['tasks'][number]

function tookLaunches(agent: SimAgent, tasks: readonly LaunchedTask[]): void {
  const waiting = unseen.get(agent) ?? []
  const atMs = performance.timeOrigin + performance.now()
  for (const { taskId, info } of tasks) {
    waiting.push(taskId)
    if (launches.has(taskId)) continue
    launches.set(taskId, { job: info.job.name, atMs })
    changes++
  }
  unseen.set(agent, waiting)
}

/** Once a turn, all that has come in it. */
function takeSoon(agent: SimAgent, ready: () => void): void {
  if (isPumped.has(agent)) return
  isPumped.add(agent)
  setImmediate(() => {
    isPumped.delete(agent)
    agent.pump(Number.POSITIVE_INFINITY)
    if (agent.faults.length > 0) throw new Error(`${agent.host}: ${agent.faults.join('; ')}`)
    if (agent.isReady) ready()
    launched(agent, unseen.get(agent) ?? [])
    unseen.delete(agent)
    endKilled()
  })
}

/** A task that was told to end does so at once, where tasks live by themselves. */
function endKilled(): void {
  for (const [agent, id] of unseenKills.splice(0)) if (lifeSpan !== null) end(agent, id, 'KILLING', 'KILLED')
}

function end(agent: SimAgent, id: string, from: TaskRecord['state'], to: 'KILLED' | 'FINISHED'): void {
  const record = agent.records.get(id)
  if (record?.state !== from) return
  agent.report(record, to)
  agent.pump(Number.POSITIVE_INFINITY)
}

function proven(message: AgentToLeader, nonce: string, key: string): AgentToLeader {
  return message.type === 'HELLO' ? { ...message, proof: agentProof(hmac, key, nonce, message.nonce) } : message
}

function launched(agent: SimAgent, taskIds: readonly string[]): void {
  for (const id of taskIds) {
    if (crashing === null) {
      queue.push([agent, id])
      continue
    }
    // The agent tells the second when the first is acknowledged, as the real one does.
    for (;;) {
      const record = agent.records.get(id)
      const state = record === undefined || !isLive(record) ? null : nextOf(record, crashing)
      if (record === undefined || state === null) break
      agent.report(record, state)
      if (state === 'RUNNING') endLater(agent, id)
    }
  }
  agent.pump(Number.POSITIVE_INFINITY)
}

function endLater(agent: SimAgent, id: string): void {
  if (lifeSpan === null) return
  setTimeout(() => end(agent, id, 'RUNNING', 'FINISHED'), random.int(lifeSpan.leastMs, lifeSpan.mostMs))
}

function nextOf(
  { state, info }: TaskRecord,
  crashing: string | null,
): 'STARTING' | 'RUNNING' | 'FINISHED' | 'FAILED' | null {
  if (state === 'ACCEPTED') return 'STARTING'
  if (state === 'STARTING') return 'RUNNING'
  if (state !== 'RUNNING') return null
  if (crashing === null) return 'FINISHED'
  return info?.job.name.startsWith(crashing) === true ? 'FAILED' : null
}

/** The next status of the next task; false when there is none. */
function say(dueMs: number): SimAgent | null {
  while (queueAt < queue.length) {
    const [agent, id] = queue[queueAt++]!
    const record = agent.records.get(id)
    const state = record === undefined || !isLive(record) ? null : nextOf(record, null)
    if (record === undefined || state === null) continue
    waiting.set(id, { seq: record.lastSeq + 1, dueMs })
    agent.report(record, state)
    if (state !== 'FINISHED') queue.push([agent, id])
    return agent
  }
  return null
}

function acknowledged(taskId: string, seq: number): void {
  changes++
  const one = waiting.get(taskId)
  if (one === undefined || seq < one.seq) return
  waiting.delete(taskId)
  onAcknowledged(one.dueMs)
}

async function paced({ perSecond, ms }: { readonly perSecond: number; readonly ms: number }): Promise<StatusRound> {
  const startMs = performance.now()
  let said = 0
  return round(done => {
    const timer = setInterval(() => {
      const nowMs = performance.now()
      const due = Math.min(((nowMs - startMs) / 1_000) * perSecond, (ms / 1_000) * perSecond)
      const touched = new Set<SimAgent>()
      while (said < due) {
        const agent = say(startMs + (said / perSecond) * 1_000)
        if (agent === null) throw new Error('the tasks have no more statuses to tell: the benchmark was given too few')
        touched.add(agent)
        said++
      }
      for (const agent of touched) agent.pump(Number.POSITIVE_INFINITY)
      if (nowMs - startMs < ms) return
      clearInterval(timer)
      done(said)
    }, TICK_MS)
  })
}

async function rushed(ask: { readonly statuses: number; readonly inFlight: number }): Promise<StatusRound> {
  let said = 0
  const some = (count: number): void => {
    for (let left = count; left > 0 && said < ask.statuses; left--, said++) {
      const agent = say(performance.now())
      if (agent === null) throw new Error('the tasks have no more statuses to tell: the benchmark was given too few')
      unsaid.add(agent)
    }
    if (isSaying) return
    isSaying = true
    setImmediate(() => {
      isSaying = false
      for (const agent of unsaid) agent.pump(Number.POSITIVE_INFINITY)
      unsaid.clear()
    })
  }
  const unsaid = new Set<SimAgent>()
  let isSaying = false
  return round(
    done => {
      done(ask.statuses)
      some(ask.inFlight)
    },
    () => some(1),
  )
}

/** Until all that was said is acknowledged. */
function round(begin: (done: (said: number) => void) => void, each: () => void = () => {}): Promise<StatusRound> {
  // Spare the queue what is behind it.
  queue = queue.slice(queueAt)
  queueAt = 0
  const tookMs: number[] = []
  let expected = Number.POSITIVE_INFINITY
  const startMs = performance.now()
  const cpu = process.cpuUsage()
  return new Promise((resolve, reject) => {
    const late = setTimeout(
      () => reject(new Error(`${waiting.size} statuses were not acknowledged within ${ROUND_MS_MAX / 1_000} s`)),
      ROUND_MS_MAX,
    )
    const check = (): void => {
      if (tookMs.length < expected) return
      clearTimeout(late)
      onAcknowledged = () => {}
      const { user, system } = process.cpuUsage(cpu)
      const seconds = (performance.now() - startMs) / 1_000
      resolve({ acknowledged: tookMs.length, seconds, tookMs, cpuMicros: user + system })
    }
    onAcknowledged = dueMs => {
      tookMs.push(performance.now() - dueMs)
      each()
      check()
    }
    begin(said => {
      expected = said
      check()
    })
  })
}

answer<AgentQuestions>(
  {
    connect,
    live: () => agents.reduce((sum, agent) => sum + agent.live.length, 0),
    launched: () => launches.size,
    launches: ({ of }) => [...launches.values()].filter(({ job }) => job.startsWith(of)),
    paced,
    rushed,
    runByThemselves: ask => {
      crashing = ask.crashing
      return null
    },
    liveByThemselves: ask => {
      lifeSpan = ask
      // None fails at once: no job has such a name.
      crashing = ' '
      return null
    },
    changes: () => changes,
  },
  () => {},
)
