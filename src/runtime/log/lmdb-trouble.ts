/**
 * What a failed commit of LMDB means. The package rejects a write with a general error, whose `commitError` promises the
 * real one; it also rejects promises that it has given to nobody. On a full disk the real one is ENOSPC, or EIO when the
 * system took a part of the write: then only the free space tells it from a disk that fails. Seen with lmdb 3.5.
 */
import { StoreFailed, StoreFull } from '../../actors/log-ports.ts'
import { freeBytesAt } from './disk-space.ts'

/** More than one commit ever writes. */
const NEARLY_FULL_BYTES = 16 * 1024 * 1024
const EIO = 5
const ENOSPC = 28

/** `what` as in "a write of the log". */
export async function storeTrouble(
  cause: unknown,
  folder: string,
  what: string,
  freeBytesOf = freeBytesAt,
): Promise<StoreFailed | StoreFull> {
  if (cause instanceof StoreFailed || cause instanceof StoreFull) return cause
  const real = await commitErrorOf(cause)
  const { code, message } = real as { code?: unknown; message?: string }
  const isFull = code === ENOSPC || code === 'ENOSPC' || (code === EIO && freeBytesOf(folder) < NEARLY_FULL_BYTES)
  return isFull
    ? new StoreFull(`${what} found the disk full`, { cause: real })
    : new StoreFailed(`${what} failed: ${message ?? String(real)}`, { cause: real })
}

/** Not a store that is refused for what is in it, but a disk that does not do what it is told. */
export function isDiskFailure({ cause }: StoreFailed): boolean {
  const { code } = (cause ?? {}) as { code?: unknown }
  return code === EIO || code === 'EIO'
}

/**
 * Throws StoreFull while there is not room for any commit, so that LMDB is not the one to find out: its text about a write
 * that failed is longer than the memory it takes for it (109 bytes in 100, lmdb 3.5.6, mdb_page_flush), and the process
 * then dies of a corrupted heap, now or later.
 */
export function refuseFull(folder: string, what: string, freeBytesOf = freeBytesAt): void {
  if (freeBytesOf(folder) < NEARLY_FULL_BYTES) throw new StoreFull(`${what} found the disk full`)
}

/** To be called once in a thread that writes with LMDB: every write has told its own caller already. */
export function ignoreEchoesOfFailedCommits(): void {
  process.on('unhandledRejection', cause => {
    if (!isFailedCommit(cause)) throw cause
  })
  // Closing the store looks at some of those promises after all, which Node would warn of.
  process.on('rejectionHandled', () => {})
}

interface FailedCommit {
  readonly commitError: Promise<never>
}

function isFailedCommit(cause: unknown): cause is FailedCommit {
  return cause instanceof Error && 'commitError' in cause && cause.commitError instanceof Promise
}

function commitErrorOf(cause: unknown): Promise<unknown> | unknown {
  return isFailedCommit(cause) ? cause.commitError.catch((real: unknown) => real) : cause
}
