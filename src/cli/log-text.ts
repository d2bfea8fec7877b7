/** How the log looks to people: a status, and entries with who changed what and why. */

import { payloadPart, payloadTransactions } from '../core/ledger/payload.ts'
import { TABLE_NUMBERS } from '../core/ledger/rows.ts'
import type { Ballot } from '../core/log/ballot.ts'
import { checksumText } from '../core/log/crc.ts'
import { checkpointNote, type EntryType, leaderNote, truncateNote } from '../core/log/entry.ts'
import type { LogStatusReport } from '../runtime/log/log-options.ts'
import { printable } from './screen.ts'

/** An entry, or what is left of one: then `damage` says why there is no more. */
export interface ReadEntry {
  readonly position: number
  readonly ballot: Ballot | null
  readonly type: EntryType | null
  readonly payload: Uint8Array | null
  readonly committed: 'yes' | 'not known'
  readonly damage: string | null
}

const TABLES = new Map<number, string>(Object.entries(TABLE_NUMBERS).map(([name, number]) => [number, name]))

export function statusText(report: LogStatusReport): string {
  const { view, members } = report
  const lines: [string, string][] = [
    ['status', report.status],
    ['role', view.role],
    ['leader', view.leader === null ? 'not known' : `member ${view.leader.memberId} at ${view.leader.httpUrl}`],
    ['since', report.leaderSinceMs === null ? '-' : new Date(report.leaderSinceMs).toISOString()],
    ...(report.leaseLeftMs === null ? [] : [['lease left', `${report.leaseLeftMs} ms`] as [string, string]]),
    ['cluster', report.clusterId ?? 'not initialized'],
    ['member', String(report.memberId)],
    ['members', members.map(({ memberId, name, address }) => `${memberId} ${name} (${address})`).join(', ')],
    ['quorum', `${report.quorum} of ${members.length}`],
    ['promised', report.promised.join('.')],
    ['holds', heldText(report)],
    ['committed', String(report.commit)],
    ['applied', String(report.applied)],
    ['starts', String(report.bootCounter)],
    ['folder', report.path],
    // Watched from when there is a log to keep room for.
    ['disk free', report.status === 'EMPTY' ? 'not known' : `${Math.floor(report.diskFreeBytes / 1_048_576)} MiB`],
  ]
  for (const { memberId, trouble } of report.peers) {
    if (trouble !== null) lines.push([`member ${memberId}`, `not connected: ${trouble}`])
  }
  if (report.waitingFor !== null) lines.push(['waits for', report.waitingFor])
  if (report.notWritable !== null) lines.push(['not writable', report.notWritable])
  return lines.map(([name, value]) => `${name.padEnd(14)}${printable(value)}\n`).join('')
}

/** What was truncated is not lost: the row tables stand for it. */
function heldText({ begin, end }: LogStatusReport): string {
  if (end === 0) return 'nothing'
  const held = begin > end ? 'no position' : `positions ${begin} to ${end}`
  return begin === 1 ? held : `${held}; the row tables stand for 1 to ${begin - 1}`
}

export function entryText(entry: ReadEntry, format: string): string {
  if (format === 'json') return `${JSON.stringify(entryJson(entry))}\n`
  const { position, ballot, type, payload, committed, damage } = entry
  if (payload === null || ballot === null) {
    return `${position}  damaged: ${damage ?? 'unknown'}  committed ${committed}  crc bad\n`
  }
  const head = `${position}  ${type}  ballot ${ballot.join('.')}  ${payload.length} bytes  committed ${committed}  crc ok\n`
  if (format === 'raw') return `${head}${Buffer.from(payload).toString('hex')}\n`
  return (
    head +
    detailLines(entry)
      .map(line => `    ${printable(line)}\n`)
      .join('')
  )
}

function entryJson(entry: ReadEntry): Record<string, unknown> {
  const { position, ballot, type, payload, committed, damage } = entry
  return {
    position,
    type,
    ballot,
    bytes: payload?.length ?? null,
    committed,
    crc: damage === null ? 'ok' : 'bad',
    ...(damage === null ? {} : { damage }),
    ...(payload === null ? {} : { payload: Buffer.from(payload).toString('base64') }),
    detail: payload === null ? [] : detailLines(entry),
  }
}

/** Who, why and which rows; for other types what they say. */
function detailLines({ type, payload }: ReadEntry): string[] {
  if (payload === null) return []
  try {
    if (type === 'LEADER') {
      const { memberId, wallMs, software } = leaderNote({ payload })
      return [`member ${memberId} took over at ${new Date(wallMs).toISOString()} with software ${software}`]
    }
    if (type === 'TRUNCATE') return [`positions before ${truncateNote({ payload }).to} are no longer needed`]
    if (type === 'CHECKPOINT') {
      const { position, rowsDigest } = checkpointNote({ payload })
      return [`the rows as of position ${position} have digest ${checksumText(rowsDigest)}`]
    }
    if (type !== 'DATA') return []
    const part = payloadPart(payload)
    if (part !== null) return [`part ${part.index + 1} of ${part.count} of a transaction of ${part.wholeBytes} bytes`]
    return payloadTransactions(payload).flatMap(({ cause, rows }) => [
      `${new Date(cause.wallMs).toISOString()}  ${cause.who}: ${cause.why}${cause.requestId === undefined ? '' : `  request ${cause.requestId}`}`,
      ...rows.map(row => {
        const table = TABLES.get(row.table) ?? `table ${row.table}`
        return row.bytes === null
          ? `  delete ${table} ${row.key}`
          : `  put ${table} ${row.key} (${row.bytes.length} bytes)`
      }),
    ])
  } catch (cause) {
    return [`the payload cannot be read: ${(cause as Error).message}`]
  }
}
