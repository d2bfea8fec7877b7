/**
 * The timers of an actor, one per key. A timer counts until its message is handled: replaced or cancelled while the
 * message is queued, it is not delivered any more.
 */
import { type Cell, KeyedTimer, type Message, TimerEnvelope } from './cell.ts'
import type { Kernel } from './kernel.ts'
import { CallTimer } from './timer-queue.ts'

/** `everyMs` null: fires once. An actor that is ending starts no timers. */
export function startTimer(
  kernel: Kernel,
  cell: Cell,
  key: string,
  message: Message,
  times: { readonly afterMs: number; readonly everyMs: number | null },
): void {
  cancelTimer(kernel, cell, key)
  if (cell.status !== 'running' && cell.status !== 'new') return
  const timer = new KeyedTimer(key, message, times.everyMs)
  timer.entry = new CallTimer(() => due(kernel, cell, timer))
  cell.timers ??= new Map()
  cell.timers.set(key, timer)
  kernel.timers.add(timer.entry, kernel.monoMs() + times.afterMs)
}

export function cancelTimer(kernel: Kernel, cell: Cell, key: string): void {
  const timer = cell.timers?.get(key)
  if (timer === undefined) return
  cell.timers?.delete(key)
  cancel(kernel, timer)
}

export function dropTimers(kernel: Kernel, cell: Cell): void {
  if (cell.timers === null) return
  for (const timer of cell.timers.values()) cancel(kernel, timer)
  cell.timers = null
}

function due(kernel: Kernel, cell: Cell, timer: KeyedTimer): void {
  if (!timer.isQueued) {
    timer.isQueued = true
    kernel.signal(cell, new TimerEnvelope(timer))
  }
  if (timer.everyMs === null || timer.entry === null) return
  const nowMs = kernel.monoMs()
  const nextMs = timer.entry.dueMs + timer.everyMs
  // After a long pause the missed ticks are not made up for.
  kernel.timers.add(timer.entry, nextMs > nowMs ? nextMs : nowMs + timer.everyMs)
}

function cancel(kernel: Kernel, timer: KeyedTimer): void {
  timer.isCancelled = true
  if (timer.entry !== null) kernel.timers.remove(timer.entry)
}
