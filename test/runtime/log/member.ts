/** Log nodes of one cluster in this process, over real sockets on loopback, with everything they said. */
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import {
  type LeaderView,
  type LogEntryView,
  type Logger,
  type LogListener,
  type LogPort,
  type LogStatusReport,
  type Metrics,
  silentLogger,
} from '../../../src/actors/ports.ts'
import { createActorSystem } from '../../../src/actors/shell.ts'
import { prng } from '../../../src/core/base/prng.ts'
import { realClock } from '../../../src/runtime/clock.ts'
import { formatLog } from '../../../src/runtime/log/log-folder.ts'
import { LogFront, type LogThreadDeath } from '../../../src/runtime/log/log-front.ts'
import { LogNode } from '../../../src/runtime/log/log-node.ts'
import type { LogNodePorts } from '../../../src/runtime/log/log-node-ports.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'
import { freePorts } from '../../fixtures/free-ports.ts'
import { logOptions, temporaryFolder } from './log-folders.ts'

export const CLUSTER = 'ab'.repeat(16)
/** Members 1 to 3 draw 0.17, 0.34 and 0.41 of a lease to wait longer than one: apart, and none of them long. */
const SEED = 1

export interface Line {
  readonly level: string
  readonly event: string
  readonly fields: Readonly<Record<string, unknown>>
}

export class Member implements LogListener {
  readonly options: LogNodeOptions
  readonly port: LogPort
  readonly lines: Line[] = []
  readonly entries: LogEntryView[] = []
  readonly counts = new Map<string, number>()
  readonly deaths: LogThreadDeath[] = []
  view: LeaderView | null = null
  /** Is told the same. */
  also: LogListener | null = null
  #waiting: { until: () => boolean; resolve: () => void }[] = []
  #stopped = false

  constructor(options: LogNodeOptions, ports: Pick<LogNodePorts, 'freeBytesOf' | 'openStore'> = {}) {
    this.options = options
    const at =
      (level: string) =>
      (event: string, fields: Readonly<Record<string, unknown>> = {}) => {
        this.lines.push({ level, event, fields })
        this.#look()
      }
    const log: Logger = { ...silentLogger, info: at('info'), warn: at('warn'), error: at('error'), child: () => log }
    const metrics: Metrics = {
      count: (name, by = 1, labels = {}) => {
        const key = [name, ...Object.values(labels)].join(' ')
        this.counts.set(key, (this.counts.get(key) ?? 0) + by)
      },
      gauge: () => {},
      observe: () => {},
    }
    const front: LogFront = new LogFront(
      new LogNode(options, {
        log,
        metrics,
        ...ports,
        emit: event => front.told([event]),
        makeSystem: onEndProcess =>
          createActorSystem({
            name: 'log',
            clock: realClock,
            random: prng(options.memberId * 7919 + SEED),
            log,
            onEndProcess,
          }),
      }),
      { log, metrics, onDeath: death => void this.deaths.push(death) },
    )
    this.port = front
  }

  async start(): Promise<this> {
    onTestFinished(() => this.stop())
    await this.port.start(this)
    return this
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    await this.port.stop()
  }

  status(): Promise<LogStatusReport> {
    return this.port.status()
  }

  /** Looked at whenever this member says something. */
  when(until: () => boolean): Promise<void> {
    return new Promise(resolve => {
      this.#waiting.push({ until, resolve })
      this.#look()
    })
  }

  said(event: string, text = ''): Promise<void> {
    return this.when(() => this.lines.some(line => line.event === event && JSON.stringify(line.fields).includes(text)))
  }

  viewChanged(view: LeaderView, report: LogStatusReport): void {
    this.view = view
    this.also?.viewChanged(view, report)
    this.#look()
  }
  committed(entries: readonly LogEntryView[]): void {
    this.entries.push(...entries)
    this.also?.committed(entries)
    this.#look()
  }
  writable(reason: string | null): void {
    this.also?.writable(reason)
  }

  #look(): void {
    this.#waiting = this.#waiting.filter(({ until, resolve }) => {
      if (!until()) return true
      resolve()
      return false
    })
  }
}

/** Options of members 1 to `count` that list each other; folders and ports of their own. */
export async function memberOptions(
  count: number,
  change: (memberId: number) => Partial<LogNodeOptions> = () => ({}),
): Promise<readonly LogNodeOptions[]> {
  const ports = await freePorts(count)
  const members = ports.map((port, at) => ({
    memberId: at + 1,
    name: `node-${at + 1}`,
    address: `127.0.0.1:${port}`,
  }))
  return members.map(({ memberId }, at) =>
    logOptions(join(temporaryFolder(), 'log'), {
      memberId,
      members,
      clusterId: CLUSTER,
      httpUrl: `http://127.0.0.1:${8080 + memberId}`,
      autoBootstrap: false,
      peer: { host: '127.0.0.1', port: ports[at]!, secret: '' },
      ...change(memberId),
    }),
  )
}

/** All of them initialized and started. */
export async function startCluster(
  count: number,
  change: (memberId: number) => Partial<LogNodeOptions> = () => ({}),
): Promise<readonly Member[]> {
  const all = await memberOptions(count, change)
  await Promise.all(all.map(options => formatLog(options, CLUSTER)))
  return Promise.all(all.map(options => new Member(options).start()))
}

/** The one that leads, once one does and all of `members` know it and where its clients are. */
export async function leaderOf(members: readonly Member[]): Promise<Member> {
  const leads = (member: Member): boolean => member.view?.role === 'LEADER'
  await Promise.race(members.map(member => member.when(() => leads(member))))
  const leader = members.find(leads)
  if (leader === undefined) return leaderOf(members)
  const url = leader.options.httpUrl
  await Promise.all(members.map(member => member.when(() => member.view?.leader?.httpUrl === url)))
  return leader
}

/**
 * Appends through whoever leads, and again if leadership moved in that moment: on a machine that is too busy a lease may
 * run out. Answers the position of the one that was taken.
 */
export async function append(
  members: readonly Member[],
  payload: Uint8Array,
): Promise<{ readonly leader: Member; readonly position: number }> {
  for (;;) {
    const leader = await leaderOf(members)
    const result = await leader.port.append(payload)
    if (result.type === 'ok') return { leader, position: result.position }
  }
}

/** Asks again until it is so; the test's own time limit is the only limit. */
export async function eventually(is: () => Promise<boolean>): Promise<void> {
  while (!(await is())) await new Promise(resolve => setTimeout(resolve, 10))
}
