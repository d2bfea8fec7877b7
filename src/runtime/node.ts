/**
 * A node from its config: the threads, the actor system, the HTTP port, and their end in the right order. Nothing is
 * decided here; this is the one place where the parts meet.
 */
import { randomBytes } from 'node:crypto'
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs'
import { statfs } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { getHeapStatistics } from 'node:v8'
import type { ActorSystem, Ref } from '../actors/actor.ts'
import * as EventTail from '../actors/event-tail.ts'
import { type HealthBoard, healthBoard, healthSpec, type ThreadProbe } from '../actors/health.ts'
import {
  type InspectedThread,
  type Command as InspectorCommand,
  type InspectorReport,
  inspectorSpec,
} from '../actors/inspector.ts'
import { createLedger, type LedgerActor } from '../actors/ledger.ts'
import type { Logger, LogPort } from '../actors/ports.ts'
import { createActorSystem } from '../actors/shell.ts'
import { prng } from '../core/base/prng.ts'
import type { Tiers } from '../core/job/tiers.ts'
import { type LifeView, lifeView } from '../core/lifecycle/life-view.ts'
import { IDLE_LIFE, LIFE_SETTINGS } from '../core/lifecycle/scheduler-states.ts'
import { admissionOf } from './admission-settings.ts'
import { type EmbeddedAgent, startAgentThread } from './agent/agent-thread-client.ts'
import { backupFolder } from './backup-folder.ts'
import { realClock } from './clock.ts'
import { advertisedHttpUrl, agentWorkDir, backupPath, machineName, type NodeConfig, nodeName } from './config.ts'
import { configFacts } from './config-facts.ts'
import { isLoopback, readHttpTlsOf, readTlsOf } from './config-rules.ts'
import { eventLoopLag } from './event-loop-lag.ts'
import { EXIT, type ExitStatus, exitStatusOf, NodeFailure } from './exit.ts'
import { type HttpTls, watchHttpCertificate } from './http-certificates.ts'
import { type HttpServer, startHttpServer } from './http-server.ts'
import type { LeaderParts } from './leader.ts'
import { followLeadership, type LeaderTree } from './leadership.ts'
import { type LogThread, openLogThread } from './log/log-client.ts'
import { logOptionsOf } from './log/log-options.ts'
import { createLogger } from './logger.ts'
import { createMetrics, type NodeMetrics } from './metrics.ts'
import type { PeerTls } from './peer-certificates.ts'
import { createGuard, type Guard } from './security/guard.ts'
import { readSecurityFile } from './security/security-file.ts'
import { watchSecurityFile } from './security/security-watch.ts'
import { readTiersFile } from './tiers-file.ts'
import { webhookClient } from './webhook-client.ts'
import { readWebhookFiles } from './webhook-files.ts'
import { type AgentPlace, listenForAgents } from './ws-agent-listener.ts'

const MIB = 1024 * 1024
const INSPECT_MS_MAX = 3_000
/** A node that is alone leads as soon as its rows are loaded; longer than this it says that it is up without. */
const FIRST_REIGN_MS_MAX = 10_000
const FIRST_LOOK_MS_MAX = 2_000

export interface RunningNode {
  /** As bound: `http://127.0.0.1:8081`. */
  readonly httpUrl: string
  /** In order: the agent (its tasks run on), the leader's actors, the log, which settles every append, then HTTP. */
  stop(): Promise<void>
}

interface SchedulerSide {
  readonly ledger: LedgerActor
  readonly log: LateLog
  readonly events: Ref<EventTail.Command>
  readonly tiers: Tiers
  tree: LeaderTree | null
}

/** Rejects with NodeFailure, or whatever else went wrong, after undoing what was started. */
export async function startNode(config: NodeConfig, { configPath }: { configPath: string }): Promise<RunningNode> {
  const logger = createLogger(config.logging)
  const metrics = createMetrics()
  const schedules = config.roles.includes('scheduler')
  const runsTasks = config.roles.includes('agent')
  const undo: (() => Promise<unknown> | unknown)[] = []
  const die = (status: ExitStatus, event: string, cause: unknown): void => {
    logger.error(event, { cause, status })
    process.exit(status)
  }
  try {
    makeFolder(config.data.dir, 'data.dir')
    if (schedules) makeFolder(backupPath(config), 'backup.folder')
    const system = createActorSystem({
      name: 'scheduler',
      clock: realClock,
      random: prng(randomBytes(4).readUInt32LE()),
      log: logger,
      metrics,
      onEndProcess: (error, path) => die(EXIT.bug, 'actor-failed-for-good', { path, error }),
    })
    undo.push(() => system.stop())
    const lag = eventLoopLag()
    undo.push(() => lag.stop())
    const board = healthBoard(realClock.read().monoMs, config.health.interval)

    const side: SchedulerSide | null = schedules ? schedulerSide(system, config, logger, metrics) : null
    const agentSlot: { agent: EmbeddedAgent | null } = { agent: null }
    const inspect = startInspector(system, config, side, agentSlot)
    const tls = httpTls(config)
    if (tls.own !== null) undo.push(watchHttpCertificate(tls.own, { logger, metrics }))
    const guard = guardOf(config, logger)
    checkHeap(config, logger)
    if (guard !== null && config.security.file !== null) {
      const watch = watchSecurityFile(config.security.file, guard.renew, logger.child('security'))
      undo.push(() => watch.stop())
    }
    const http = await startHttp(config, { system, logger, metrics, board, side, inspect, tls, guard })
    undo.push(() => http.close())
    const httpUrl = advertisedHttpUrl(config, http.port, hostname())
    const secret = config.cluster.secretFile === null ? '' : readFileSync(config.cluster.secretFile, 'utf8').trim()

    let log: LogThread | null = null
    if (side !== null) {
      log = await openLogThread({
        ...logOptionsOf(config, configPath, httpUrl, { secret, tls: peerTls(config) }),
        log: logger.child('log'),
        metrics,
        onDeath: death => die(death.status as ExitStatus, 'log-thread-ended', death.reason),
      })
      const opened = log
      undo.push(() => opened.terminate())
      const listener = listenForAgents(http.server, () => placeOf(side, config))
      undo.push(() => listener.detach())
      side.tree = followLeadership({
        system,
        ledger: side.ledger,
        listener,
        config,
        secret,
        hostName: hostname(),
        tiers: side.tiers,
        handOver: () => opened.transfer(null),
        endProcess: cause => die(EXIT.bug, 'reign-failed-for-good', cause),
        metrics,
        logger,
        backup: backupOf(config, { log: opened, ledger: side.ledger, logger }),
        ...webhookOf(config, side),
      })
      const { tree } = side
      undo.push(() => tree.stop())
      undo.push(() => listener.closeAll('the node stops'))
      side.log.open(log)
      side.ledger.began(await prepared(tree, log.start(EventTail.toldOfCommits(side.ledger, side.events))))
      await firstReign(side, tree)
    }
    if (runsTasks) {
      // A certificate is for the name under which others reach the node, not for the address it is bound to.
      const own = tls.own === null ? http.url : httpUrl
      const agent = await startAgentThread(agentData(config, { httpUrl: own, secret, ca: tls.ca }), {
        metrics,
        onDeath: cause => die(exitStatusOf(cause), 'agent-thread-ended', cause),
      }).catch(cause => {
        const text = cause instanceof Error ? cause.message : String(cause)
        throw new NodeFailure(EXIT.place, `the agent cannot start: ${text}`, cause)
      })
      agentSlot.agent = agent
      undo.push(() => agent.stop({ killTasks: false }))
    }
    startHealth(system, config, { board, metrics, lag, side, agent: agentSlot.agent })
    metrics.addFacts(() => configFacts(config))
    const report = side === null ? null : await side.log.port.status()
    await firstLook(board)
    process.stdout.write(`daybreak: ${nodeName(config)} (${config.roles.join('+')}) is up at ${http.url}\n`)
    if (report?.waitingFor != null) process.stdout.write(`daybreak: it waits for ${report.waitingFor}\n`)
    return { httpUrl: http.url, stop: () => stopAll(undo, logger) }
  } catch (cause) {
    await stopAll(undo, logger)
    throw placed(cause, config)
  }
}

// ---- the parts ----

function schedulerSide(system: ActorSystem, config: NodeConfig, logger: Logger, metrics: NodeMetrics): SchedulerSide {
  const log = lateLog()
  const { keep, max } = config.scheduler.requestOutcomes
  const ledger = createLedger({
    system,
    log: log.port,
    clock: realClock,
    metrics,
    logger: logger.child('ledger'),
    leaseMs: config.log.lease,
    requestLimits: { keptMsMax: keep, requestsMax: max },
  })
  const events = system.spawn(EventTail.eventTailSpec({ log: log.port }))
  return { ledger, log, events, tiers: tiersOf(config), tree: null }
}

interface HttpParts {
  readonly system: ActorSystem
  readonly logger: Logger
  readonly metrics: NodeMetrics
  readonly board: HealthBoard
  readonly side: SchedulerSide | null
  readonly inspect: () => Promise<InspectorReport>
  readonly tls: HttpTls
  readonly guard: Guard | null
}

function startHttp(config: NodeConfig, parts: HttpParts): Promise<HttpServer> {
  const { system, logger, metrics, board, side, inspect, tls, guard } = parts
  return startHttpServer({
    host: config.http.host,
    port: config.http.port,
    bodyMax: config.http.bodyMax,
    requestTimeoutMs: config.http.requestTimeout,
    tls: tls.own,
    corsOrigins: config.http.corsOrigins,
    ownHost: new URL(advertisedHttpUrl(config, config.http.port, hostname())).hostname,
    guard,
    // Whoever started the node has hands for the signal.
    processEnd: { quit: () => process.kill(process.pid, 'SIGTERM'), abort: () => process.exit(EXIT.aborted) },
    node: {
      memberId: config.node.id,
      name: nodeName(config),
      version: packageVersion(),
      cluster: { name: config.cluster.name },
    },
    clock: realClock,
    logger: logger.child('http'),
    metrics,
    health: board,
    inspect,
    scheduler:
      side === null
        ? null
        : {
            system,
            ledger: side.ledger,
            log: side.log.port,
            events: side.events,
            admission: admissionOf(config, side.tiers),
            leader: () => side.ledger.leadership?.view ?? null,
            life: () => side.tree?.life ?? NOT_BEGUN,
            jobKeeper: () => side.tree?.leading?.jobKeeper ?? null,
            gateway: () => side.tree?.leading?.gateway ?? null,
            taskAdmin: () => side.tree?.leading?.taskAdmin ?? null,
            backup: () => side.tree?.leading?.backup ?? null,
            quotas: () => side.tree?.leading?.quotas ?? null,
            whatIf: () => side.tree?.leading?.whatIf ?? null,
            placement: () => side.tree?.leading?.placement ?? null,
            agents: () => side.tree?.leading?.agents ?? null,
          },
  })
}

function startInspector(
  system: ActorSystem,
  config: NodeConfig,
  side: SchedulerSide | null,
  slot: { readonly agent: EmbeddedAgent | null },
): () => Promise<InspectorReport> {
  const threads: InspectedThread[] = [{ name: 'scheduler', actors: async () => system.inspection.actors() }]
  if (side !== null) threads.push({ name: 'log', actors: async () => (await side.log.opened()).actors() })
  if (config.roles.includes('agent'))
    threads.push({ name: 'agent', actors: async () => (await slot.agent?.actors()) ?? [] })
  const inspector = system.spawn(inspectorSpec({ node: nodeName(config), threads }))
  return () =>
    system.ask<InspectorCommand, InspectorReport>(inspector, replyTo => ({ type: 'take', replyTo }), {
      timeoutMs: INSPECT_MS_MAX,
    })
}

interface HealthParts {
  readonly board: HealthBoard
  readonly metrics: NodeMetrics
  readonly lag: ReturnType<typeof eventLoopLag>
  readonly side: SchedulerSide | null
  readonly agent: EmbeddedAgent | null
}

function startHealth(system: ActorSystem, config: NodeConfig, { board, metrics, lag, side, agent }: HealthParts): void {
  const { health } = config
  const threads: ThreadProbe[] = [
    { name: 'scheduler', look: async () => ({ lagMs: lag.takeMax(), oldest: system.inspection.oldestMessage() }) },
  ]
  if (side !== null) {
    // A thread that is blocked answers late, and Health counts that.
    threads.push({
      name: 'log',
      look: async () => ({ lagMs: 0, oldest: oldestOf(await (await side.log.opened()).actors()) }),
    })
  }
  if (agent !== null) {
    threads.push({ name: 'agent', look: async () => ({ lagMs: 0, oldest: oldestOf(await agent.actors()) }) })
  }
  const folders = new Set([config.data.dir, ...(agent === null ? [] : [agentWorkDir(config)])])
  system.spawn(
    healthSpec({
      intervalMs: health.interval,
      board,
      limits: {
        eventLoopLagMsMax: health.eventLoopLagMax,
        mailboxAgeMsMax: health.mailboxAgeMax,
        diskFreeBytesMin: health.diskFreeMin,
      },
      ports: {
        metrics,
        threads,
        logStatus: side === null ? null : () => side.log.port.status(),
        disks: [...folders].map(path => ({ path, freeBytes: () => freeBytes(path) })),
      },
    }),
  )
}

function agentData(
  config: NodeConfig,
  { httpUrl, secret, ca }: { readonly httpUrl: string; readonly secret: string; readonly ca: string | null },
): Parameters<typeof startAgentThread>[0] {
  const { agent, logging } = config
  const { cpus, ram, disk, gpus, revocableCpus } = agent.resources
  return {
    logging,
    options: {
      workDir: agentWorkDir(config),
      schedulers: agent.schedulers.length > 0 ? agent.schedulers : [httpUrl],
      schedulersCa: ca,
      host: machineName(config),
      attributes: agent.attributes,
      resources: {
        gpus,
        ...(cpus === null ? {} : { cpusMilli: cpus }),
        ...(ram === null ? {} : { ramMb: Math.floor(ram / MIB) }),
        ...(disk === null ? {} : { diskMb: Math.floor(disk / MIB) }),
      },
      revocableCpusMilli: revocableCpus,
      portRanges: agent.ports,
      userMode: agent.userMode,
      allowRoot: agent.allowRoot,
      killCapMs: agent.killCap,
      sandboxKeepMs: agent.sandboxKeep,
      secret: secret === '' ? null : secret,
    },
  }
}

function webhookOf({ scheduler }: NodeConfig, { events }: SchedulerSide): Pick<LeaderParts, 'webhook'> {
  const { url, timeout: timeoutMs } = scheduler.webhook
  if (url === null) return {}
  const read = readWebhookFiles(scheduler.webhook)
  if (!read.ok) throw new Error(`scheduler.webhook.${read.key}: ${read.text}`)
  return { webhook: { events, port: webhookClient({ url, timeoutMs, credentials: read.credentials }) } }
}

function backupOf(
  config: NodeConfig,
  { log, ledger, logger }: { readonly log: LogThread; readonly ledger: LedgerActor; readonly logger: Logger },
): NonNullable<LeaderParts['backup']> {
  const folder = backupFolder({
    path: backupPath(config),
    rows: log.rows,
    clusterId: () => ledger.leadership?.report.clusterId ?? null,
    software: packageVersion(),
    reserveBytes: config.log.space.reserve,
    clock: realClock,
    logger: logger.child('backup'),
  })
  const { interval: intervalMs, keep } = config.backup
  return { folder, schedule: { lastMonoMs: realClock.read().monoMs }, intervalMs, keep }
}

/** Where an agent that connects to this node belongs. */
function placeOf(side: SchedulerSide, config: NodeConfig): AgentPlace {
  if (side.tree?.leading != null) return { type: 'here' }
  const leader = side.ledger.leadership?.view.leader ?? null
  if (leader !== null && leader.memberId !== config.node.id && leader.httpUrl !== '')
    return { type: 'elsewhere', httpUrl: leader.httpUrl }
  const waitsFor = side.tree?.life.waitsFor ?? 'its start'
  return { type: 'nowhere', reason: side.ledger.refusal()?.detail ?? `this node leads and waits for ${waitsFor}` }
}

/** Tells the life cycle how the opening of the log ends. */
async function prepared<T>(tree: LeaderTree, opening: Promise<T>): Promise<T> {
  try {
    const report = await opening
    tree.prepared()
    return report
  } catch (cause) {
    tree.prepareFailed()
    throw cause
  }
}

/** Settles when this node leads and serves, or when it is known that it will not soon. */
async function firstReign(side: SchedulerSide, tree: LeaderTree): Promise<void> {
  const report = await side.log.port.status()
  if (report.status !== 'VOTING' || report.members.length > 1 || tree.leading !== null) return
  await new Promise<void>(done => {
    const late = setTimeout(done, FIRST_REIGN_MS_MAX)
    const told = tree.onAdvertised(() => {
      clearTimeout(late)
      told()
      done()
    })
  })
}

/** Settles when Health has looked at the node once, so that "up" and `/health` agree. */
async function firstLook(board: HealthBoard): Promise<void> {
  const until = performance.now() + FIRST_LOOK_MS_MAX
  while (board.verdict === null && performance.now() < until) await new Promise(done => setTimeout(done, 5))
}

// ---- the log before its thread is there ----

/** The port that the ledger holds from the start; calls wait until the thread is open. */
interface LateLog {
  readonly port: LogPort
  open(log: LogThread): void
  opened(): Promise<LogThread>
}

function lateLog(): LateLog {
  let open: (log: LogThread) => void = () => {}
  let log: LogThread | null = null
  const opened = new Promise<LogThread>(resolve => {
    open = thread => {
      log = thread
      resolve(thread)
    }
  })
  // Once it is open a call must reach it in its own turn: the log batches what is appended in one.
  const call = <T>(use: (log: LogThread) => Promise<T>): Promise<T> => (log === null ? opened.then(use) : use(log))
  return {
    open: thread => open(thread),
    opened: () => opened,
    port: {
      lease: { holds: ballot => log?.lease.holds(ballot) ?? false },
      start: listener => call(thread => thread.start(listener)),
      status: () => call(thread => thread.status()),
      append: (payload, basis) => call(thread => thread.append(payload, basis)),
      readRows: (cursor, rowsMax) => call(thread => thread.readRows(cursor, rowsMax)),
      read: (from, to) => call(thread => thread.read(from, to)),
      rowsLoaded: loaded => void opened.then(thread => thread.rowsLoaded(loaded)),
      transfer: to => call(thread => thread.transfer(to)),
      stop: () => call(thread => thread.stop()),
    },
  }
}

// ---- small parts ----

async function stopAll(undo: (() => Promise<unknown> | unknown)[], logger: Logger): Promise<void> {
  for (const step of undo.splice(0).reverse()) {
    try {
      await step()
    } catch (cause) {
      logger.error('stop-failed', { cause })
    }
  }
}

/** A place that cannot be had, said with the key that names it. */
function placed(cause: unknown, config: NodeConfig): unknown {
  const code = cause instanceof Error && 'code' in cause ? cause.code : null
  if (code === 'EADDRINUSE') {
    const text = `port ${config.http.port} on ${config.http.host} is taken: stop what listens there, or set http.port to another (0 takes any free one)`
    return new NodeFailure(EXIT.place, text, cause)
  }
  if (code === 'EADDRNOTAVAIL') {
    const text = `this machine has no address ${config.http.host}: set http.host to one of its own`
    return new NodeFailure(EXIT.place, text, cause)
  }
  if (code === 'EACCES' && cause instanceof Error && 'syscall' in cause && cause.syscall === 'listen') {
    const text = `port ${config.http.port} may not be opened by this user: set http.port to one above 1023`
    return new NodeFailure(EXIT.place, text, cause)
  }
  return cause
}

/** They were looked at with the config; what has changed since is told the same way. */
function peerTls(config: NodeConfig): PeerTls | null {
  const read = readTlsOf(config)
  if (read.ok) return read.tls
  throw new NodeFailure(EXIT.config, read.faults.map(({ key, text }) => `peer.tls.${key}: ${text}`).join('; '))
}

/** Started past bin/daybreak, Node has decided by itself: by the memory of the machine. */
function checkHeap({ roles, scheduler }: NodeConfig, logger: Logger): void {
  const { heap_size_limit: limitBytes } = getHeapStatistics()
  if (!roles.includes('scheduler') || limitBytes >= scheduler.heap) return
  const remedy = 'start the node with bin/daybreak, or give Node --max-old-space-size'
  logger.warn('heap-limit-low', { limitBytes, wantedBytes: scheduler.heap, remedy })
}

/** The same. Null: everybody may do everything. */
function guardOf({ http, security }: NodeConfig, logger: Logger): Guard | null {
  const isBeyond = !isLoopback(http.host)
  if (security.file === null) {
    if (isBeyond) logger.warn('http-unsecured', { host: http.host, remedy: 'set security.file' })
    return null
  }
  const read = readSecurityFile(security.file)
  if (!read.ok) throw new NodeFailure(EXIT.config, `security.file: ${read.faults.join('; ')}`)
  if (isBeyond && http.tls.certFile === null) logger.warn('http-in-clear', { host: http.host, remedy: 'set http.tls' })
  return createGuard({ policy: read.policy, clock: realClock })
}

/** The same. */
function httpTls(config: NodeConfig): HttpTls {
  const read = readHttpTlsOf(config)
  if (read.ok) return read.tls
  throw new NodeFailure(EXIT.config, read.faults.map(({ key, text }) => `http.tls.${key}: ${text}`).join('; '))
}

/** The same. */
function tiersOf({ scheduler }: NodeConfig): Tiers {
  const read = readTiersFile(scheduler.tiersFile)
  if (read.ok) return read.tiers
  throw new NodeFailure(EXIT.config, `scheduler.tiersFile: ${read.faults.join('; ')}`)
}

function makeFolder(path: string, key: 'data.dir' | 'backup.folder'): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o755 })
    accessSync(path, constants.W_OK | constants.X_OK)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    const text = `the ${FOLDERS[key]} folder ${path} cannot be made or written: ${why}; set ${key} to another`
    throw new NodeFailure(EXIT.place, text, cause)
  }
}

const FOLDERS = { 'data.dir': 'data', 'backup.folder': 'backup' } as const

async function freeBytes(path: string): Promise<number> {
  const disk = await statfs(path)
  return disk.bavail * disk.bsize
}

function oldestOf(
  actors: readonly { readonly path: string; readonly oldestMessageAgeMs: number }[],
): { path: string; ageMs: number } | null {
  let oldest: { path: string; ageMs: number } | null = null
  for (const { path, oldestMessageAgeMs: ageMs } of actors) {
    if (ageMs > (oldest?.ageMs ?? 0)) oldest = { path, ageMs }
  }
  return oldest
}

/** Before the log thread is there. */
const NOT_BEGUN: LifeView = lifeView(IDLE_LIFE, false, LIFE_SETTINGS)

export function packageVersion(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<string, string>
      if (name === 'daybreak' && version !== undefined) return version
    } catch (cause) {
      if (folder === dirname(folder)) throw cause
    }
  }
}
