/**
 * Puts an agent together: its folders and store, the machine under it, its actors. The same for the agent embedded in a
 * node (in a worker thread, see `agent-thread.ts`) and for a machine of its own. Stopping an agent leaves its tasks
 * running unless they are asked to end; the next agent on the same work folder adopts them.
 */
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from 'node:crypto'
import { existsSync, lstatSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ActorSystem, Ref } from '../../actors/actor.ts'
import { type AgentReport, agent, type Command } from '../../actors/agent.ts'
import type { AgentSecret } from '../../actors/agent-ports.ts'
import { type AgentDialer, type Logger, type Metrics, silentMetrics } from '../../actors/ports.ts'
import { createActorSystem } from '../../actors/shell.ts'
import { placeWarnings } from '../../core/agents/place-attributes.ts'
import { prng } from '../../core/base/prng.ts'
import { agentKey, agentProof, type Hmac, leaderProof } from '../../wire/agent-proof.ts'
import type { AgentToLeader, LeaderToAgent } from '../../wire/messages/agent.ts'
import { realClock } from '../clock.ts'
import { canSwitchAccounts } from './accounts.ts'
import type { AgentOptions } from './agent-options.ts'
import { openAgentStore } from './agent-store.ts'
import { Folders, PlaceError } from './folders.ts'
import { type MachineFacts, machineFacts, machineId, offeredResources, PORT_RANGES } from './machine.ts'
import { ProcessMachine } from './process-machine.ts'

export type { AgentOptions } from './agent-options.ts'

export interface AgentDeps {
  readonly dialer: AgentDialer<LeaderToAgent, AgentToLeader>
  readonly log: Logger
  readonly metrics?: Metrics
  /** A failed flush or a bug the agent must not go on after: the caller ends the process. Default: an uncaught error. */
  readonly onFatal?: (cause: unknown) => void
}

export interface RunningAgent {
  /** `killTasks`: ends all tasks first and waits until no process of theirs is left. */
  stop(options: { readonly killTasks: boolean }): Promise<void>
  inspect(): Promise<AgentReport>
  readonly system: ActorSystem
}

const KILL_CAP_MS = 60_000
const SANDBOX_KEEP_MS = 7 * 24 * 3_600_000
const REDIAL_MS_MAX = 30_000
/** A task may take its kill budget, then SIGKILL; past that something is stuck that no signal ends. */
const STUCK_MARGIN_MS = 10_000

/** Rejects with PlaceError when the work folder cannot be used or another agent uses it. */
export async function startAgent(options: AgentOptions, deps: AgentDeps): Promise<RunningAgent> {
  const folders = new Folders(options.workDir)
  const forOthers = options.userMode === 'role' && process.getuid?.() === 0
  if (forOthers && !canSwitchAccounts()) {
    const remedy = 'install util-linux, or set agent.userMode to shared'
    throw new PlaceError(`agent.userMode role needs the program setpriv, which is not on the PATH; ${remedy}`)
  }
  folders.make({ forOthers })
  const lock = await lockFolder(folders.work)
  const store = await openAgentStore(folders.db)
  const log = deps.log.child('agent')
  const killCapMs = options.killCapMs ?? KILL_CAP_MS
  const onFatal =
    deps.onFatal ??
    // Outside every actor, where no supervision can go on as if nothing had happened.
    ((cause: unknown) =>
      void setImmediate(() => {
        throw cause
      }))
  if (options.userMode === 'shared' && process.getuid?.() === 0) {
    log.warn('agent-tasks-run-as-root', { remedy: 'start the agent as another user, or set agent.userMode to role' })
  }
  const machine = new ProcessMachine({
    folders,
    accounts: { userMode: options.userMode, allowRoot: options.allowRoot ?? false },
    log,
    ...(options.bootId === undefined ? {} : { bootId: options.bootId }),
  })
  await machine.open()
  const system = createActorSystem({
    name: 'agent',
    clock: realClock,
    random: prng(randomBytes(4).readUInt32LE()),
    log,
    ...(deps.metrics === undefined ? {} : { metrics: deps.metrics }),
    onEndProcess: error => onFatal(error),
  })
  const others = options.attributes.filter(({ name }) => name !== 'host')
  const attributes = [{ name: 'host', values: [options.host] }, ...others]
  for (const text of placeWarnings({ attributes })) log.warn('agent-place-unknown', { host: options.host, text })
  const ref: Ref<Command> = system.spawn(
    agent({
      host: options.host,
      schedulers: options.schedulers,
      attributes,
      offer: () => ({
        resources: offeredResources(factsOf(folders.work, onFatal), options.resources),
        portRanges: options.portRanges ?? PORT_RANGES,
        ...(options.revocableCpusMilli ? { revocableCpusMilli: options.revocableCpusMilli } : {}),
      }),
      place: placeOf(folders.work),
      workDir: folders.work,
      draining: options.draining ?? false,
      logUrl: options.logUrl ?? null,
      agentVersion: packageVersion(),
      instanceId: randomUUID(),
      killCapMs,
      sandboxKeepMs: options.sandboxKeepMs ?? SANDBOX_KEEP_MS,
      redialMsMax: options.redialMsMax ?? REDIAL_MS_MAX,
      secret: secretProof(options.secret ?? ''),
      newNonce: () => randomBytes(24).toString('hex'),
      hash: text => createHash('sha256').update(text).digest('hex'),
      dialer: deps.dialer,
      store,
      machine,
      metrics: deps.metrics ?? silentMetrics,
      fatal: onFatal,
    }),
  )
  return {
    system,
    inspect: () =>
      system.ask<Command, AgentReport>(ref, replyTo => ({ type: 'inspect', replyTo }), { timeoutMs: 5_000 }),
    async stop({ killTasks }) {
      try {
        if (killTasks) await endTasks(system, ref, killCapMs + STUCK_MARGIN_MS)
      } finally {
        await system.stop()
        await machine.close()
        await store.close()
        await new Promise<void>(resolve => lock.close(() => resolve()))
      }
    },
  }
}

async function endTasks(system: ActorSystem, ref: Ref<Command>, timeoutMs: number): Promise<void> {
  try {
    await system.ask<Command, { type: 'allEnded' }>(ref, replyTo => ({ type: 'killAllTasks', replyTo }), { timeoutMs })
  } catch (cause) {
    const text = `tasks live on although they were killed ${timeoutMs} ms ago; the next agent on this work folder goes on`
    throw new Error(text, { cause })
  }
}

/**
 * One agent per work folder: a name in the kernel's abstract socket space, which is gone with the process however that
 * ends. It is made of the folder's device and inode, so that two paths to one folder meet.
 */
async function lockFolder(work: string): Promise<Server> {
  const { dev, ino } = lstatSync(work)
  const server = createServer(socket => socket.destroy())
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => {
      const taken = (cause as NodeJS.ErrnoException).code === 'EADDRINUSE'
      reject(taken ? new PlaceError(`another agent uses agent.workDir ${work}`, { cause }) : cause)
    })
    server.listen({ path: `\0daybreak-agent-${dev}-${ino}` }, () => resolve())
  })
  server.unref()
  return server
}

/** A work folder that was removed under a running agent comes back only with a new start. */
function factsOf(work: string, onFatal: (cause: unknown) => void): MachineFacts {
  try {
    return machineFacts(work)
  } catch (cause) {
    const text = `agent.workDir ${work} cannot be looked at any more: ${(cause as Error).message}; was it removed? Start the agent again`
    onFatal(new PlaceError(text, { cause }))
    throw cause
  }
}

/** Machine and folder in one word; it says nothing about either to those who see it. */
function placeOf(work: string): string {
  const text = JSON.stringify([machineId(), hostname(), work])
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}

function secretProof(secret: string): AgentSecret | null {
  if (secret === '') return null
  const hmac: Hmac = (key, text) => createHmac('sha256', key).update(text).digest('hex')
  const key = agentKey(hmac, secret)
  return {
    prove: (listenerNonce, agentNonce) => agentProof(hmac, key, listenerNonce, agentNonce),
    verify(proof, listenerNonce, agentNonce) {
      const expected = Buffer.from(leaderProof(hmac, key, listenerNonce, agentNonce))
      const given = Buffer.from(proof)
      return given.length === expected.length && timingSafeEqual(given, expected)
    },
  }
}

/** Of the package this file belongs to, whether built or not. */
function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json')
    if (!existsSync(file)) continue
    const { name, version } = JSON.parse(readFileSync(file, 'utf8')) as { name?: string; version?: string }
    if (name === 'daybreak' && version !== undefined) return version
  }
  return 'unknown'
}
