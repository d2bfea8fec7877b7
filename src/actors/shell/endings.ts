/**
 * How actors end. A stop takes effect at once for a whole subtree: nothing below it handles another message. The
 * clean-up then goes leaves first, each actor in its own turn, so depth and number do not matter to the stack. The
 * same clean-up comes before a restart, which then waits out its back-off.
 */
import type { Behaviour } from '../actor.ts'
import { type Cell, isForeign, type Message, rareOf } from './cell.ts'
import type { Kernel } from './kernel.ts'
import { dropTimers } from './keyed-timers.ts'
import { restartPolicyOf } from './supervision.ts'
import { CallTimer } from './timer-queue.ts'
import { tellWatchers, unwatchAll } from './watches.ts'

/** How long a promise of `stopping` is waited for. */
export const STOPPING_MS_MAX = 10_000

/** Marks the whole subtree at once; ends come leaves first, younger before older. */
export function requestStop(kernel: Kernel, top: Cell): void {
  const marking: Cell[] = [top]
  for (let cell = marking.pop(); cell !== undefined; cell = marking.pop()) {
    if (cell.status === 'stopping' || cell.status === 'gone') continue
    const wasCleaning = cell.step === 'cleaning'
    cell.status = 'stopping'
    dropTimers(kernel, cell)
    if (cell.rare?.wait && !wasCleaning) kernel.timers.remove(cell.rare.wait)
    const hasChildren = cell.children !== null && cell.children.size > 0
    if (!wasCleaning) cell.step = hasChildren ? 'children' : 'cleanup'
    if (hasChildren) for (const child of cell.children!.values()) marking.push(child)
    else kernel.wake(cell)
  }
}

/** Its turn to clean up, before the end or a restart. */
export function cleanUp(kernel: Kernel, cell: Cell): void {
  const isStopping = cell.status === 'stopping'
  if (isStopping) buryQueue(kernel, cell)
  const behaviour: Behaviour<Message> | null = cell.behaviour
  cell.behaviour = null
  let waits: unknown = null
  try {
    waits = behaviour?.stopping?.(isStopping ? 'stopped' : 'restarting')
  } catch (error) {
    cleanUpFailed(kernel, cell, error)
  }
  if (waits instanceof Promise) awaitCleanUp(kernel, cell, waits)
  else cleanedUp(kernel, cell)
}

function awaitCleanUp(kernel: Kernel, cell: Cell, waits: Promise<void>): void {
  cell.step = 'cleaning'
  let isOver = false
  const end = (): void => {
    if (isOver) return
    isOver = true
    kernel.timers.remove(timer)
    cleanedUp(kernel, cell)
  }
  const timer = new CallTimer(() => {
    kernel.log.warn('actor-stopping-timed-out', { actor: cell.path, afterMs: STOPPING_MS_MAX })
    end()
  })
  rareOf(cell).wait = timer
  kernel.timers.add(timer, kernel.monoMs() + STOPPING_MS_MAX)
  waits.then(end, (error: unknown) => {
    cleanUpFailed(kernel, cell, error)
    end()
  })
}

function cleanUpFailed(kernel: Kernel, cell: Cell, error: unknown): void {
  kernel.parts.onFailure?.(error, cell.path)
  kernel.log.error('actor-stopping-failed', { actor: cell.path, error })
}

function cleanedUp(kernel: Kernel, cell: Cell): void {
  if (cell.status === 'stopping') return finish(kernel, cell)
  const { backoffMs, backoffMsMax } = restartPolicyOf(cell)
  const rare = rareOf(cell)
  const delayMs = Math.min(backoffMsMax, backoffMs * 2 ** (rare.restartedAtMs.length - 1))
  cell.step = 'backoff'
  rare.wait = new CallTimer(() => {
    rare.wait = null
    cell.step = 'none'
    cell.status = 'new'
    kernel.wake(cell)
  })
  kernel.timers.add(rare.wait, kernel.monoMs() + delayMs)
}

function finish(kernel: Kernel, cell: Cell): void {
  cell.status = 'gone'
  cell.step = 'none'
  buryQueue(kernel, cell)
  unwatchAll(cell)
  cell.context = null
  const parent = cell.parent!
  parent.children?.delete(cell.name)
  const rare = cell.rare
  if (rare !== null) {
    tellWatchers(kernel, cell)
    for (const gone of rare.whenGone ?? []) gone()
    rare.whenGone = null
  }
  if (parent === kernel.root) cell.lane?.close()
  else if (parent.step === 'children' && parent.children?.size === 0) {
    parent.step = 'cleanup'
    kernel.wake(parent)
  }
}

function buryQueue(kernel: Kernel, cell: Cell): void {
  const ring = cell.ring
  if (ring === null) return
  cell.ring = null
  while (ring.size > 0) {
    const item = ring.shift()
    if (isForeign(item)) kernel.deadLetter(cell.path, item)
  }
  kernel.rings.give(ring)
}
