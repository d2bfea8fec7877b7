/**
 * What becomes of an actor that threw: noted for the inspector, and then its supervision decides between a restart, its
 * end, the failure of its parent and the end of the process.
 */
import { type Cell, rareOf } from './cell.ts'
import { requestStop } from './endings.ts'
import type { Kernel } from './kernel.ts'
import { dropTimers } from './keyed-timers.ts'
import { supervisionOf } from './supervision.ts'
import { unwatchAll } from './watches.ts'

/** `messageType`: what it was handling; `start` when it failed to begin. */
export function failed(kernel: Kernel, cell: Cell, error: unknown, messageType: string): void {
  const rare = rareOf(cell)
  rare.failed++
  const { message, stack } = error instanceof Error ? error : { message: String(error), stack: undefined }
  rare.lastError = { atMs: kernel.wallMs(), message, stack: stack ?? '', messageType }
  const kind = cell.spec?.kind ?? 'Nest'
  kernel.metrics.count('actor_failures', 1, { kind })
  kernel.log.error('actor-failed', { actor: cell.path, kind, messageType, error })
  kernel.parts.onFailure?.(error, cell.path)
  if (cell.status === 'stopping' || cell.status === 'gone') return
  const supervision = supervisionOf(cell)
  switch (supervision.type) {
    case 'restart': {
      const nowMs = kernel.monoMs()
      rare.restartedAtMs = rare.restartedAtMs.filter(at => nowMs - at < supervision.withinMs)
      if (rare.restartedAtMs.length >= supervision.limit) return escalate(kernel, cell, error)
      rare.restartedAtMs.push(nowMs)
      return beginRestart(kernel, cell)
    }
    case 'stop':
      return requestStop(kernel, cell)
    case 'escalate':
      return escalate(kernel, cell, error)
    case 'endProcess':
      return endProcess(kernel, cell, error)
  }
}

function beginRestart(kernel: Kernel, cell: Cell): void {
  rareOf(cell).restarts++
  kernel.metrics.count('actor_restarts', 1, { kind: cell.spec?.kind ?? 'Nest' })
  cell.incarnation++
  cell.status = 'restarting'
  dropTimers(kernel, cell)
  unwatchAll(cell)
  cell.step = cell.children === null || cell.children.size === 0 ? 'cleanup' : 'children'
  for (const child of [...(cell.children?.values() ?? [])].reverse()) requestStop(kernel, child)
  kernel.wake(cell)
}

/** The failed actor ends and the failure becomes one of its nearest ancestor with a behaviour. */
function escalate(kernel: Kernel, cell: Cell, error: unknown): void {
  let parent = cell.parent
  while (parent !== null && parent !== kernel.root && parent.spec === null) parent = parent.parent
  if (parent === null || parent === kernel.root) return endProcess(kernel, cell, error)
  requestStop(kernel, cell)
  if (parent.status === 'running' || parent.status === 'new') failed(kernel, parent, error, `failure of ${cell.path}`)
}

function endProcess(kernel: Kernel, cell: Cell, error: unknown): void {
  kernel.log.error('actor-ends-process', { actor: cell.path, error })
  requestStop(kernel, cell)
  kernel.parts.onEndProcess(error, cell.path)
}
