/**
 * What a member does whose disk has lost something that others still have, before it takes part again: it asks them for the
 * very records that are bad or gone, or for all rows, one member after the other, for as long as it takes. Nothing else
 * is answered meanwhile: what is missing may have been voted for. Source: the replicated log, C11.
 */
import { existsSync, renameSync, rmSync } from 'node:fs'
import type { IncomingSnapshot, LogTransport } from '../../actors/log-ports.ts'
import type { Entry } from '../../core/log/entry.ts'
import type { Entries, PeerMessage, Sender, SnapshotPage } from '../../core/log/messages.ts'
import type { LogMeta } from '../../core/log/meta.ts'
import type { RowCursor } from '../../core/log/snapshot.ts'
import { openIncoming } from './lmdb-incoming.ts'
import { mendLog } from './lmdb-log-store.ts'
import { stateFolder, storeFolder } from './log-folder.ts'
import type { OpeningPorts } from './log-opening.ts'
import type { LogNodeOptions } from './log-options.ts'
import type { LogLacks } from './log-refused.ts'

const ANSWER_MS_MAX = 2_000
const ROUND_PAUSE_MS = 500
const PAGE_BYTES = 1024 * 1024

export interface MenderOptions {
  readonly self: Sender
  readonly others: readonly number[]
  readonly transport: LogTransport
}

export class Mender {
  readonly #options: MenderOptions
  #asks = 0
  #answered: ((message: Entries | SnapshotPage) => void) | null = null
  #stopped = false
  #wake: () => void = () => {}

  constructor(options: MenderOptions) {
    this.#options = options
    options.transport.onMessage = message => this.#onMessage(message)
  }

  /** All of these positions, in order; null when it was stopped before they were there. */
  async entries(positions: readonly number[]): Promise<readonly Entry[] | null> {
    const found: Entry[] = []
    for (const position of positions) {
      const entry = await this.#fromAnybody(async to => {
        const message = { type: 'fetch', from: this.#options.self, position, bytesMax: 1, ask: ++this.#asks } as const
        const answer = await this.#ask(to, message, 'entries')
        return answer?.entries.find(one => one.position === position) ?? null
      })
      if (entry === null) return null
      found.push(entry)
    }
    return found
  }

  /** All rows as of some position from `atLeast` on, written to `incoming`. False when it was stopped before. */
  async rows(incoming: IncomingSnapshot, atLeast: number): Promise<boolean> {
    const arrived = await this.#fromAnybody(async to => {
      let id: string | null = null
      let cursor: RowCursor | null = null
      for (;;) {
        const page: SnapshotPage | null = await this.#ask(
          to,
          {
            type: 'snapshotFetch',
            from: this.#options.self,
            id,
            cursor,
            bytesMax: PAGE_BYTES,
            ask: ++this.#asks,
          },
          'snapshotPage',
        )
        if (page === null || page.header.position < atLeast) return null
        if (id !== null && page.header.id !== id) return null
        if (!(await incoming.write(page))) return null
        if (page.done) return true
        id = page.header.id
        const last = page.rows.at(-1)
        cursor = last === undefined ? cursor : { table: last.table, key: last.key }
      }
    })
    return arrived !== null
  }

  stop(): void {
    this.#stopped = true
    this.#wake()
  }

  /** One after the other, again and again, until one has it. */
  async #fromAnybody<T>(attempt: (to: number) => Promise<T | null>): Promise<T | null> {
    while (!this.#stopped) {
      for (const to of this.#options.others) {
        const got = this.#stopped ? null : await attempt(to)
        if (got !== null) return got
      }
      if (!this.#stopped) await this.#pause(ROUND_PAUSE_MS)
    }
    return null
  }

  #ask<K extends 'entries' | 'snapshotPage'>(
    to: number,
    message: PeerMessage & { readonly ask: number },
    wanted: K,
  ): Promise<(PeerMessage & { readonly type: K }) | null> {
    return new Promise(resolve => {
      const late = setTimeout(() => done(null), ANSWER_MS_MAX)
      const done = (answer: (PeerMessage & { readonly type: K }) | null): void => {
        clearTimeout(late)
        this.#answered = null
        resolve(answer)
      }
      this.#wake = () => done(null)
      this.#answered = answer => {
        if (answer.type === wanted && answer.ask === message.ask) done(answer as PeerMessage & { readonly type: K })
      }
      this.#options.transport.send(to, message)
    })
  }

  #onMessage(message: PeerMessage): void {
    if (message.type === 'entries' || message.type === 'snapshotPage') this.#answered?.(message)
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }
}

/** One mending of one log, with what is told of it. */
export class LogMending {
  readonly waitingFor: string
  readonly #path: string
  readonly #ports: Pick<OpeningPorts, 'log' | 'metrics'>
  readonly #lacks: LogLacks
  readonly #what: string
  readonly #mender: Mender

  constructor(
    { path, memberId, members }: LogNodeOptions,
    ports: Pick<OpeningPorts, 'log' | 'metrics'>,
    transport: LogTransport,
    lacks: LogLacks,
  ) {
    this.#path = path
    this.#ports = ports
    this.#lacks = lacks
    this.#what = lacks.positions === null ? 'row tables' : `${lacks.positions.length} records`
    const others = members.map(member => member.memberId).filter(id => id !== memberId)
    this.waitingFor = `${this.#what} that this disk has lost, from any of members ${others.join(', ')}: ${lacks.message}`
    this.#mender = new Mender({ self: { memberId, incarnation: lacks.meta!.incarnation }, others, transport })
  }

  /** Until all is there, or `stop`. */
  async run(): Promise<void> {
    const { log, metrics } = this.#ports
    const { positions, message, meta } = this.#lacks
    log.error('log-damaged', { because: message, lost: this.#what })
    metrics.count('log_records_corrupt', positions?.length ?? 0)
    if (await mend(this.#mender, this.#path, positions, meta!)) log.warn('log-mended', { lost: this.#what })
  }

  stop(): void {
    this.#mender.stop()
  }
}

/**
 * Brings the closed log in `path` what it lacks. Row tables that cannot be used are kept as `state.unusable`, and all rows
 * gathered anew; the next opening puts them in place. False when it was stopped before.
 */
async function mend(
  mender: Mender,
  path: string,
  positions: readonly number[] | null,
  meta: LogMeta,
): Promise<boolean> {
  if (positions !== null) {
    const entries = await mender.entries(positions)
    if (entries !== null) await mendLog(storeFolder(path), entries)
    return entries !== null
  }
  const state = stateFolder(path)
  if (existsSync(state)) {
    rmSync(`${state}.unusable`, { recursive: true, force: true })
    renameSync(state, `${state}.unusable`)
  }
  const incoming = openIncoming(`${state}.incoming`, meta)
  try {
    return await mender.rows(incoming, meta.begin - 1)
  } finally {
    await incoming.close()
  }
}
