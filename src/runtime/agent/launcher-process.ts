/**
 * The launcher as a process of this machine: how it is started, and how one knows that nothing of it is left. Its
 * arguments name the work folder of its agent, and so do those of whatever it has forked that is not a shim yet.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, lstatSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Logger } from '../../actors/ports.ts'
import { LAUNCHER_NAME } from './launch-messages.ts'
import { allProcesses, commandLineOf, type ProcessStat, signalProcess, TICKS_PER_SECOND, ticksNow } from './proc.ts'

/**
 * LMDB leaves the files of its stores open across an exec, for writing: neither the launcher nor any task may inherit
 * them. Only bash closes descriptors above 9; it is told to be privileged (-p), so that it reads nobody's BASH_ENV.
 */
const CLOSE_SCRIPT = `
for fd in /proc/self/fd/*; do
  fd=\${fd##*/}
  [ "$fd" -le 2 ] || eval "exec $fd>&-"
done
exec "$@"
`
const BASH = '/bin/bash'
const LOOK_AGAIN_MS = 2
/** A launcher leaves as soon as its agent is gone, unless it is held up by the machine. */
const STUCK_MS = 5_000
/** A process without arguments that is younger may be between a fork and its own arguments. */
const EXEC_TICKS_MAX = 10 * TICKS_PER_SECOND

export type LauncherProcess = ChildProcess & { readonly stdin: Writable; readonly stdout: Readable }

/** One word for the work folder, whichever path led to it. */
export function launcherMark(work: string): string {
  const { dev, ino } = lstatSync(work)
  return `${dev}-${ino}`
}

/** In a session of its own, so that what a terminal sends to its agent does not end it first. */
export function startLauncher(mark: string, work: string): LauncherProcess {
  const command = [process.execPath, launcherEntry(), LAUNCHER_NAME, mark, String(process.pid), work]
  const [program = '', ...args] = existsSync(BASH) ? [BASH, '-p', '-c', CLOSE_SCRIPT, 'bash', ...command] : command
  const { NODE_OPTIONS: _, ...env } = process.env // meant for the agent: a debugger's port, the size of a heap
  return spawn(program, args, { env, detached: true, stdio: ['pipe', 'pipe', 'inherit'] }) as LauncherProcess
}

/** Settles when no launcher of this folder lives, nor anything that it was just forking. */
export async function launchersGone(mark: string, log: Logger): Promise<void> {
  let stuckAtMs = performance.now() + STUCK_MS
  for (;;) {
    const found = launchersOf(mark)
    if (found.length === 0) return
    if (performance.now() > stuckAtMs) {
      stuckAtMs = performance.now() + STUCK_MS
      log.warn('agent-launcher-stuck', { pids: found.map(stat => stat.pid) })
      for (const stat of found) signalProcess(stat.pid, stat.startTicks, 'SIGKILL')
    }
    await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN_MS))
  }
}

function launchersOf(mark: string): ProcessStat[] {
  const youngFrom = ticksNow() - EXEC_TICKS_MAX
  return allProcesses().filter(({ pid, startTicks }) => {
    const args = commandLineOf(pid)
    if (args === null) return false
    // For a moment within an exec a process has no arguments at all.
    if (args.join('') === '') return startTicks >= youngFrom
    const at = args.indexOf(LAUNCHER_NAME)
    return at >= 0 && args[at + 1] === mark
  })
}

/** Beside this file when it is built; in `dist` when it runs from the source (tests). */
function launcherEntry(): string {
  const isBuilt = import.meta.url.endsWith('.js')
  return fileURLToPath(new URL(isBuilt ? './launcher.js' : '../../../dist/bundle/launcher.js', import.meta.url))
}
