/** `/inspect` for people: the tree of actors, and a page for each of them. */
import type { InspectedActor, InspectorReport } from '../../actors/inspector.ts'
import { escapeHtml, page } from './page.ts'

const REFRESH_SECS = 3
/** Children of one parent shown in the tree; a parent's own page shows more. */
const SHOWN_IN_TREE_MAX = 50
const SHOWN_ON_PAGE_MAX = 1000

export interface ViewOptions {
  readonly refresh: boolean
}

export function treePage(report: InspectorReport, { refresh }: ViewOptions): string {
  const troubled = report.actors.filter(isTroubled)
  const body = `${navigation('/inspect', refresh)}
<h1>Actors of ${escapeHtml(report.node)}</h1>
<p class="soft">${report.actors.length} actors, ${troubled.length === 0 ? '<span class="good">none in trouble</span>' : `<span class="bad">${troubled.length} in trouble</span>: ${troubled.slice(0, 10).map(link).join(', ')}`}, taken at ${clockTime(report.takenAt)}</p>
${table(treeRows(report.actors), 0, report.takenAt)}`
  return page({ title: `actors of ${report.node}`, refreshSecs: refresh ? REFRESH_SECS : 0 }, body)
}

export function actorPage(report: InspectorReport, actor: InspectedActor, { refresh }: ViewOptions): string {
  const children = report.actors.filter(other => other.parent === actor.path)
  const facts: [string, string][] = [
    ['kind', escapeHtml(actor.kind)],
    ['status', statusText(actor)],
    [
      'mailbox',
      `${actor.mailboxDepth} of ${actor.mailboxMax}${actor.oldestMessageAgeMs > 0 ? `, the oldest for ${duration(actor.oldestMessageAgeMs)}` : ''}`,
    ],
    ['processed', String(actor.processed)],
    ['failed', String(actor.failed)],
    ['refused', String(actor.refused)],
    ['restarts', String(actor.restarts)],
    ['busy', duration(actor.busyMs)],
    ['started', actor.startedAtMs === 0 ? '' : clockTime(actor.startedAtMs)],
    ['last message', actor.lastMessageAtMs === null ? 'none yet' : clockTime(actor.lastMessageAtMs)],
  ]
  const state = Object.entries(actor.stateSummary)
  const error = actor.lastError
  const body = `${navigation(`/inspect${actor.path}`, refresh)}
<h1>${crumbs(actor.path)}</h1>
<table><tbody>${facts.map(([name, value]) => `<tr><th>${name}</th><td>${value}</td></tr>`).join('')}</tbody></table>
${state.length === 0 ? '' : `<h2>State</h2><table><tbody>${state.map(([name, value]) => `<tr><th>${escapeHtml(name)}</th><td>${escapeHtml(value)}</td></tr>`).join('')}</tbody></table>`}
${error === null ? '' : `<h2>Last error</h2><p class="bad">${escapeHtml(error.message)}</p><p class="soft">${clockTime(error.atMs)}${error.messageType === '' ? '' : `, while handling <code>${escapeHtml(error.messageType)}</code>`}</p><pre>${escapeHtml(error.stack)}</pre>`}
${
  actor.children === 0
    ? ''
    : `<h2>${actor.children} children</h2>${table(
        children.slice(0, SHOWN_ON_PAGE_MAX).map(child => ({ actor: child, depth: 0, more: 0 })),
        Math.max(0, children.length - SHOWN_ON_PAGE_MAX),
        report.takenAt,
      )}`
}`
  return page({ title: actor.path, refreshSecs: refresh ? REFRESH_SECS : 0 }, body)
}

interface Row {
  readonly actor: InspectedActor
  readonly depth: number
  /** Children that are left out below it. */
  readonly more: number
}

/** Parents before children, at most so many of one parent, those in trouble always. */
function treeRows(actors: readonly InspectedActor[]): Row[] {
  const byParent = new Map<string | null, InspectedActor[]>()
  for (const actor of actors) {
    const siblings = byParent.get(actor.parent)
    if (siblings === undefined) byParent.set(actor.parent, [actor])
    else siblings.push(actor)
  }
  const rows: Row[] = []
  const visit = (actor: InspectedActor, depth: number): void => {
    const children = byParent.get(actor.path) ?? []
    const shown = children.filter((child, index) => index < SHOWN_IN_TREE_MAX || isTroubled(child))
    rows.push({ actor, depth, more: children.length - shown.length })
    for (const child of shown) visit(child, depth + 1)
  }
  for (const root of byParent.get(null) ?? []) visit(root, 0)
  return rows
}

function table(rows: readonly Row[], more: number, nowMs: number): string {
  const head =
    '<tr><th>actor</th><th class="wide">kind</th><th>status</th><th class="n">mailbox</th><th class="n wide">oldest</th><th class="n">processed</th><th class="n wide">restarts</th><th class="n wide">busy</th><th class="wide">state</th></tr>'
  const body = rows.map(row => rowHtml(row, nowMs)).join('')
  return `<table><thead>${head}</thead><tbody>${body}</tbody></table>${more === 0 ? '' : `<p class="soft">and ${more} more</p>`}`
}

function rowHtml({ actor, depth, more }: Row, nowMs: number): string {
  const name = depth === 0 ? actor.path : actor.path.slice(actor.path.lastIndexOf('/') + 1)
  const summary = Object.entries(actor.stateSummary).map(([key, value]) => `${key}=${value}`)
  const error =
    actor.lastError === null
      ? ''
      : `<div class="bad">${escapeHtml(actor.lastError.message)} <span class="soft">${duration(Math.max(0, nowMs - actor.lastError.atMs))} ago</span></div>`
  const left = more === 0 ? '' : ` <span class="soft">(${more} more inside)</span>`
  return `<tr><td style="padding-left:${0.6 + depth * 1.2}rem"><a href="${href(actor.path)}">${escapeHtml(name)}</a>${left}</td><td class="wide">${escapeHtml(actor.kind)}</td><td>${statusText(actor)}</td><td class="n${actor.mailboxDepth > 0 ? ' warn' : ''}">${actor.mailboxDepth}</td><td class="n wide">${actor.oldestMessageAgeMs > 0 ? duration(actor.oldestMessageAgeMs) : ''}</td><td class="n">${actor.processed}</td><td class="n wide${actor.restarts > 0 ? ' warn' : ''}">${actor.restarts}</td><td class="n wide">${duration(actor.busyMs)}</td><td class="sum wide">${escapeHtml(summary.join(' '))}${error}</td></tr>`
}

const isTroubled = (actor: InspectedActor): boolean => actor.status !== 'running' || actor.lastError !== null

const statusText = (actor: InspectedActor): string =>
  `<span class="${actor.status === 'running' ? 'good' : 'bad'}">${escapeHtml(actor.status)}</span>`

const href = (path: string): string => `/inspect${path.split('/').map(encodeURIComponent).join('/')}`
const link = (actor: InspectedActor): string => `<a href="${href(actor.path)}">${escapeHtml(actor.path)}</a>`

function crumbs(path: string): string {
  const parts = path.split('/').slice(1)
  return parts
    .map((part, index) => `/<a href="${href(`/${parts.slice(0, index + 1).join('/')}`)}">${escapeHtml(part)}</a>`)
    .join('')
}

function navigation(here: string, refresh: boolean): string {
  const toggle = refresh
    ? `<a href="${escapeHtml(here)}?refresh=off">stop refreshing</a>`
    : `<a href="${escapeHtml(here)}">refresh every ${REFRESH_SECS} s</a>`
  return `<nav><a href="/">node</a><a href="/inspect">actors</a><a href="${escapeHtml(here)}?format=json">JSON</a>${toggle}</nav>`
}

const clockTime = (ms: number): string => escapeHtml(`${new Date(ms).toISOString().replace('T', ' ').slice(0, 19)} UTC`)

function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  if (ms < 120_000) return `${(ms / 1000).toFixed(1)} s`
  return `${Math.round(ms / 60_000)} min`
}
