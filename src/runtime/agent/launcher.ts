/**
 * The launcher: a process that does nothing but start the shims of one agent's runs and tell how they end. A fork copies
 * the page tables of the whole process while its thread waits, so it is done where there are few: nothing is loaded here
 * that a start does not need. It ends with its agent; the shims go on.
 *
 * `node launcher.js daybreak-launcher MARK AGENT_PID WORK_FOLDER`
 */
import { spawn } from 'node:child_process'
import { closeSync, constants, mkdirSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type LaunchCommand, type LaunchReport, messageLine, messageReader } from './launch-messages.ts'
import { processStat } from './proc.ts'

/** A task may have made a pipe in the place of a file: opening it fails instead of waiting for somebody who reads. */
const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NONBLOCK

const agentPid = Number(process.argv[4])

process.stdin.setEncoding('utf8')
process.stdin.on('data', messageReader(start))
for (const end of ['end', 'error', 'close']) process.stdin.on(end, leave)
process.stdout.on('error', leave)

function start(command: LaunchCommand): void {
  // The next agent waits until we are gone; what this one has asked for is no longer to be started.
  if (process.ppid !== agentPid) leave()
  const { id, program, args, cwd, env, records, output } = command
  const files: number[] = []
  try {
    makeRecords(command)
    if (output !== null) openOutput(output, files)
    const [stdout = 'ignore', stderr = 'ignore'] = files as (number | 'ignore')[]
    const child = spawn(program, args, { cwd, env, detached: true, stdio: ['ignore', stdout, stderr] })
    const { pid } = child
    if (pid === undefined) {
      child.once('error', cause => say({ type: 'refused', id, text: cause.message }))
      return
    }
    // It cannot be gone: it is waited for only when we come to events again.
    const startTicks = processStat(pid)?.startTicks ?? 0
    writeStarted(records, `${pid} ${startTicks} ${command.token}\n`)
    say({ type: 'begun', id, pid, startTicks })
    child.once('exit', code => say({ type: 'ended', id, code }))
  } catch (cause) {
    say({ type: 'refused', id, text: (cause as Error).message })
  } finally {
    for (const file of files) closeSync(file)
  }
}

/** Throws when the run has a folder already: one that was begun is never begun again. */
function makeRecords({ records, isAgain }: LaunchCommand): void {
  mkdirSync(dirname(records), { recursive: true, mode: 0o700 })
  mkdirSync(records, { recursive: isAgain, mode: 0o700 })
}

function openOutput(folder: string, files: number[]): void {
  mkdirSync(folder, { recursive: true, mode: 0o755 })
  for (const name of ['stdout', 'stderr']) files.push(openSync(join(folder, name), APPEND, 0o644))
}

/** Where it cannot be written (a full disk), the shim is found by its arguments, and tries itself when its command ends. */
function writeStarted(records: string, text: string): void {
  // Not the name that the shim uses: it may be about to write the same.
  const fresh = join(records, 'started.fresh')
  try {
    writeFileSync(fresh, text)
    renameSync(fresh, join(records, 'started'))
  } catch {
    // Not lost: see above. The run itself is well.
  }
}

function say(report: LaunchReport): void {
  process.stdout.write(messageLine(report))
}

function leave(): never {
  process.exit(0)
}
