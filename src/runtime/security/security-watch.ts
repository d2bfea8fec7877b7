/**
 * Takes a changed security file while the node runs: somebody who has left must not wait for a restart. One with faults is
 * told and not taken, so that a slip locks nobody out, and looked at again until it has none: what keeps it from being
 * read may end without the file changing.
 */
import { statSync } from 'node:fs'
import type { Logger } from '../../actors/ports.ts'
import type { Policy } from '../../core/security/policy.ts'
import { readSecurityFile } from './security-file.ts'

export interface SecurityWatch {
  /** Looks now; else every 5 s. */
  look(): void
  stop(): void
}

const LOOK_EVERY_MS = 5_000

/** `readFile`: only tests set it. */
export function watchSecurityFile(
  path: string,
  renew: (policy: Policy) => void,
  logger: Logger,
  readFile: typeof readSecurityFile = readSecurityFile,
): SecurityWatch {
  let seen = markOf(path)
  /** The faults that were told last; null: it had none. */
  let told: string | null = null
  const look = (): void => {
    const mark = markOf(path)
    if (mark === seen && told === null) return
    const read = readFile(path)
    if (!read.ok) {
      const faults = read.faults.join('\n')
      if (mark !== seen || faults !== told)
        logger.error('security-faulty', { faults: read.faults, remedy: 'mend it; what was known before still holds' })
      seen = mark
      told = faults
      return
    }
    seen = mark
    told = null
    renew(read.policy)
    logger.info('security-changed', { path, users: read.policy.users.size })
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  timer.unref()
  return { look, stop: () => clearInterval(timer) }
}

/** Differs when the file or who may read it does, whatever its time was set to; a file that is not there has one too. */
function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs} ${ctimeMs}`
  } catch {
    return 'not there'
  }
}
