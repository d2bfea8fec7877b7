/**
 * One process per log folder. Node has no flock, and a lock file alone is either left behind by a killed process or, if
 * that is repaired, taken by two starters at once. So the lock is a socket in Linux's abstract namespace, named after
 * the device and inode of the folder: the kernel gives it to one holder and takes it back the moment that one dies, in
 * whatever way. A file beside it names the holder for people, and still refuses where the namespace is not shared (two
 * containers with their own network and one volume): pid, start ticks and boot id say whether the holder lives.
 *
 * A process that was killed holds on until the kernel has taken it apart, which may be after the next one has started:
 * so another process is given a moment to go before it counts as a second node.
 *
 * The number of a folder that was deleted may be given to the next one, while a node still runs on what was deleted. Then
 * the new folder is refused, though nobody has it: the wrong way round cannot happen, because one folder has one number for
 * as long as it is there, however it is bound or renamed. (A name with the time of its birth in it would tell the two
 * apart. Rejected: where a file system keeps none, Node hands out the time of the last change, and then two starters would
 * lock the same folder under two names.)
 */
import { mkdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { writeDurableFile } from './durable-file.ts'
import { LogRefused } from './log-refused.ts'

export interface StoreLock {
  release(): Promise<void>
}

interface Holder {
  readonly pid: number
  /** Field 22 of /proc/<pid>/stat. */
  readonly startTicks: string
  readonly bootId: string
}

/** How long a holder may take to die. */
const DYING_MS_MAX = 2_000
const LOOK_AGAIN_MS = 20

export async function lockFolder(folder: string, dyingMsMax = DYING_MS_MAX): Promise<StoreLock> {
  mkdirSync(folder, { recursive: true })
  const file = join(folder, 'lock')
  const { dev, ino } = statSync(folder)
  const until = performance.now() + dyingMsMax
  let server = await take(`\0daybreak-log-${dev}-${ino}`, file)
  while (server === null) {
    const holder = readHolder(file)
    // Nobody is named for a moment before a holder has written its name, and all the while in a folder made anew.
    const isOther = holder === null || holder.pid !== process.pid
    if (!isOther || performance.now() >= until) throw refused(folder, holder)
    await pause(LOOK_AGAIN_MS)
    server = await take(`\0daybreak-log-${dev}-${ino}`, file)
  }
  const taken = server
  writeDurableFile(file, `${JSON.stringify(ownHolder())}\n`)
  return {
    release: async () => {
      // In a folder made anew under the same path the name is that of another.
      if (isOwn(readHolder(file))) rmSync(file, { force: true })
      await close(taken)
    },
  }
}

/** The process that has the folder open, or null. Does not take the lock. */
export function folderHolder(folder: string): number | null {
  const holder = readHolder(join(folder, 'lock'))
  return holder !== null && isAlive(holder) ? holder.pid : null
}

function refused(folder: string, holder: Holder | null): LogRefused {
  if (holder !== null) {
    return new LogRefused(
      `The log at ${folder} is in use by process ${holder.pid}. Two nodes never share a data folder: stop that one, or ` +
        'give this node its own',
    )
  }
  return new LogRefused(
    `The log at ${folder} is in use by a process that has not left its name there. If the folder was made anew while a ` +
      'node still ran on the old one, stop that node; else look for a second start of this one',
  )
}

/** Null while another process has the folder. */
async function take(name: string, file: string): Promise<Server | null> {
  const server = await listen(name)
  const holder = readHolder(file)
  if (server === null || holder === null || holder.pid === process.pid || !isAlive(holder)) return server
  await close(server)
  return null
}

/** Null when the name is taken. */
function listen(name: string): Promise<Server | null> {
  return new Promise((resolve, reject) => {
    const server = createServer(socket => socket.destroy())
    server.once('error', (cause: NodeJS.ErrnoException) =>
      cause.code === 'EADDRINUSE' ? resolve(null) : reject(cause),
    )
    server.listen({ path: name }, () => {
      server.unref()
      resolve(server)
    })
  })
}

function close(server: Server): Promise<void> {
  return new Promise(resolve => {
    server.close(() => resolve())
  })
}

function readHolder(file: string): Holder | null {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Holder
  } catch {
    // No file, or one that a crash cut: the socket has the say.
    return null
  }
}

function ownHolder(): Holder {
  return { pid: process.pid, startTicks: startTicks(process.pid) ?? '', bootId: bootId() }
}

function isOwn(holder: Holder | null): boolean {
  return holder?.pid === process.pid && isAlive(holder)
}

function isAlive(holder: Holder): boolean {
  return holder.bootId === bootId() && startTicks(holder.pid) === holder.startTicks
}

function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
}

/** Null when there is no such process, or only what its parent has not yet taken note of. */
function startTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name, in parentheses, may hold anything; what follows the last one is regular.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}
