/** The state of the log for those who only look: it is not waited for, and how it shows on the page of the node. */
import type { LogPort, LogStatusReport, PeerReport } from '../../actors/ports.ts'
import { escapeHtml } from './page.ts'

/** A log thread that is stuck must not keep what else there is to see from being shown. */
const LOG_STATUS_MS_MAX = 500

/** Null: it does not answer, or has failed; that shows in `/health`. */
export async function logStatusNow(log: LogPort): Promise<LogStatusReport | null> {
  let late: NodeJS.Timeout | undefined
  const timeout = new Promise<null>(resolve => {
    late = setTimeout(resolve, LOG_STATUS_MS_MAX, null)
  })
  const first = await Promise.race([log.status().catch(() => null), timeout])
  clearTimeout(late)
  return first
}

/** Whether somebody should look at it: then the page is loaded again now and then. */
export const isWaiting = (report: LogStatusReport | null): boolean =>
  report !== null && (report.waitingFor !== null || report.notWritable !== null)

/** For the page of the node: one line when all is well, and all there is to know when it is not. */
export function logSection(report: LogStatusReport | null): string {
  if (report === null) return '<h2>Log</h2><p class="warn">The log does not answer right now.</p>'
  const { status, commit, applied, members, quorum, memberId, waitingFor, notWritable } = report
  const place = members.length === 1 ? 'the only member' : `member ${memberId} of ${members.length}, quorum ${quorum}`
  const isWell = !isWaiting(report)
  const facts = `<p><span class="${isWell ? 'good' : 'bad'}">${status}</span>, ${place}; committed ${commit}, applied ${applied}</p>`
  const waits = waitingFor === null ? '' : `<p><strong>It waits for</strong> ${prose(waitingFor)}</p>`
  const full = notWritable === null ? '' : `<p><strong>It takes no changes</strong>: ${prose(notWritable)}</p>`
  return `<h2>Log</h2>${facts}${waits}${full}${isWell || members.length === 1 ? '' : memberTable(report)}`
}

function memberTable({ members, memberId, status, peers }: LogStatusReport): string {
  const rows = members.map(member => {
    const isSelf = member.memberId === memberId
    const peer = peers.find(one => one.memberId === member.memberId)
    const seen = isSelf ? `<td>${status}</td><td>this node</td>` : seenCells(peer)
    return `<tr><td class="n">${member.memberId}</td><td>${escapeHtml(member.name)}</td><td>${escapeHtml(member.address)}</td>${seen}</tr>`
  })
  const head = '<tr><th class="n">member</th><th>name</th><th>address</th><th>status</th><th>seen from here</th></tr>'
  return `<table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table>`
}

function seenCells(peer: PeerReport | undefined): string {
  const status = peer?.status ?? 'not known'
  if (peer?.connected) return `<td>${status}</td><td class="good">connected</td>`
  return `<td class="soft">${status}</td><td class="bad">${escapeHtml(peer?.trouble ?? 'not connected')}</td>`
}

/** What is in backticks is there to be typed. */
function prose(text: string): string {
  return escapeHtml(text).replace(/`([^`]*)`/g, '<code>$1</code>')
}
