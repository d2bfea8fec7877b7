/** Death watch: who is told, with which message, when an actor is gone for good. A restart is not the end. */
import { type Cell, type Message, rareOf, SignalEnvelope } from './cell.ts'
import type { Kernel } from './kernel.ts'

/** One watch per pair: watching again replaces the message. */
export function watch(kernel: Kernel, watcher: Cell, target: Cell, message: Message): void {
  if (target.status === 'gone') {
    kernel.signal(watcher, new SignalEnvelope(watcher.incarnation, () => message))
    return
  }
  const seen = rareOf(target)
  seen.watchers ??= new Map()
  seen.watchers.set(watcher, message)
  const mine = rareOf(watcher)
  mine.watching ??= new Set()
  mine.watching.add(target)
}

export function unwatch(watcher: Cell, target: Cell): void {
  target.rare?.watchers?.delete(watcher)
  watcher.rare?.watching?.delete(target)
}

/** The watcher restarts or ends. */
export function unwatchAll(watcher: Cell): void {
  for (const target of watcher.rare?.watching ?? []) target.rare?.watchers?.delete(watcher)
  watcher.rare?.watching?.clear()
}

/** The target is gone. */
export function tellWatchers(kernel: Kernel, target: Cell): void {
  for (const [watcher, message] of target.rare?.watchers ?? []) {
    watcher.rare?.watching?.delete(target)
    kernel.signal(watcher, new SignalEnvelope(watcher.incarnation, () => message))
  }
  if (target.rare !== null) target.rare.watchers = null
}
