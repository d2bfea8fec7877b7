import { compareIds } from '../core/base/ids.ts'
import type { ActorView } from './inspect.ts'
import { printable, type Style } from './screen.ts'
import { tableText } from './table.ts'

/** How actors look on a screen: a tree, parents above their children, with what tells health first. */
export function treeText(actors: readonly ActorView[], style: Style): string {
  const known = new Set(actors.map(actor => actor.path))
  const children = new Map<string | null, ActorView[]>()
  for (const actor of actors) {
    // Whose parent is not in the list stands at the top, so that nobody is lost.
    const parent = actor.parent !== null && known.has(actor.parent) ? actor.parent : null
    children.set(parent, [...(children.get(parent) ?? []), actor])
  }
  const rows: (string | { text: string; paint: 'bad' | 'busy' })[][] = []
  const walk = (parent: string | null, depth: number): void => {
    for (const actor of (children.get(parent) ?? []).sort((a, b) => compareIds(a.path, b.path))) {
      const name = parent === null ? actor.path : (actor.path.split('/').at(-1) ?? actor.path)
      const troubled = actor.restarts > 0 || actor.lastError !== null
      rows.push([
        `${'  '.repeat(depth)}${name}`,
        actor.kind,
        actor.status === 'running' ? actor.status : { text: actor.status, paint: 'busy' },
        String(actor.mailboxDepth),
        String(actor.processed),
        troubled ? { text: String(actor.restarts), paint: 'bad' } : String(actor.restarts),
        actor.lastError === null ? '' : { text: actor.lastError.message, paint: 'bad' },
      ])
      walk(actor.path, depth + 1)
    }
  }
  walk(null, 0)
  const columns = [
    { head: 'ACTOR', min: 16 },
    { head: 'KIND', worth: 2 },
    { head: 'STATUS', worth: 1 },
    { head: 'DEPTH', right: true },
    { head: 'PROCESSED', right: true },
    { head: 'RESTARTS', right: true },
    { head: 'LAST ERROR', wraps: true },
  ]
  return tableText(columns, rows, style)
}

/** One actor's page: every field, the state summary line by line, its last messages as a table. */
export function actorText(page: Record<string, unknown>, style: Style): string {
  const actor = isRecord(page.actor) ? { ...page.actor, ...without(page, 'actor') } : page
  const lines: string[] = []
  const show = (name: string, value: unknown, indent: string): void => {
    if (isRecord(value)) {
      lines.push(`${indent}${style.paint(`${name}:`, 'dim')}`)
      for (const [inner, innerValue] of Object.entries(value)) show(inner, innerValue, `${indent}  `)
    } else if (Array.isArray(value)) {
      lines.push(`${indent}${style.paint(`${name}:`, 'dim')}${value.length === 0 ? ' none' : ''}`)
      for (const item of value) lines.push(`${indent}  ${isRecord(item) ? recordText(item) : printable(String(item))}`)
    } else {
      const text =
        typeof value === 'string' ? value.split('\n').map(printable).join(`\n${indent}  `) : String(value ?? '-')
      lines.push(`${indent}${style.paint(`${name}:`, 'dim')} ${text}`)
    }
  }
  for (const [name, value] of Object.entries(actor)) show(name, value, '')
  return `${lines.join('\n')}\n`
}

function recordText(record: Record<string, unknown>): string {
  return Object.entries(record)
    .map(([name, value]) => `${name}=${printable(isRecord(value) ? JSON.stringify(value) : String(value ?? '-'))}`)
    .join('  ')
}

function without(record: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([key]) => key !== name))
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
