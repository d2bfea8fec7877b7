/** `daybreak log transfer`: asks a running node that another member leads, and says who does then. */
import type { LogStatusReport } from '../runtime/log/log-options.ts'
import type { LogTransfer } from '../wire/rest.ts'
import { printable } from './screen.ts'

export interface LogNodeConnection {
  readonly report: LogStatusReport
  /** Fails with what the node says, if it refuses. */
  readonly post: <T>(path: string, body: object) => Promise<T>
  readonly refuse: (text: string) => never
}

export interface TransferOptions {
  /** Id or name. */
  readonly to?: string
  readonly json?: boolean
}

export async function transferLeadership(node: LogNodeConnection, options: TransferOptions): Promise<string> {
  const { members } = node.report
  const named = (memberId: number): string => {
    const name = members.find(member => member.memberId === memberId)?.name
    return name === undefined ? `member ${memberId}` : `member ${memberId} (${printable(name)})`
  }
  const to = options.to === undefined ? null : memberOf(node, options.to)
  const done = await node.post<LogTransfer>('/log:transfer', to === null ? {} : { to })
  const { memberId, httpUrl, moved, tookMs } = done
  if (to !== null && memberId !== to) {
    return node.refuse(
      `${named(memberId)} leads now, not ${named(to)}: it was quicker\n  ask again to move it once more`,
    )
  }
  if (options.json === true) return `${JSON.stringify(done, null, 2)}\n`
  if (!moved) return `${named(memberId)} leads already\n`
  const where = httpUrl === '' ? '' : ` at ${printable(httpUrl)}`
  return `${named(memberId)} leads now${where}; it took ${tookMs} ms\n`
}

function memberOf({ report, refuse }: LogNodeConnection, text: string): number {
  const { members } = report
  const member = members.find(({ memberId, name }) => String(memberId) === text || name === text)
  if (member !== undefined) return member.memberId
  const list = members.map(({ memberId, name }) => `${memberId} ${name}`).join(', ')
  return refuse(`There is no member '${printable(text)}': members are ${list}`)
}
