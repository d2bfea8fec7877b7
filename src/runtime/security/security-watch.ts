/**
 * Takes a changed security file while the node runs: somebody who has left must not wait for a restart. One with faults is
 * told and not taken, so that a slip locks nobody out.
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

export function watchSecurityFile(path: string, renew: (policy: Policy) => void, logger: Logger): SecurityWatch {
  let seen = markOf(path)
  const look = (): void => {
    const mark = markOf(path)
    if (mark === seen) return
    seen = mark
    const read = readSecurityFile(path)
    if (!read.ok) {
      logger.error('security-faulty', { faults: read.faults, remedy: 'mend it; what was known before still holds' })
      return
    }
    renew(read.policy)
    logger.info('security-changed', { path, users: read.policy.users.size })
  }
  const timer = setInterval(look, LOOK_EVERY_MS)
  timer.unref()
  return { look, stop: () => clearInterval(timer) }
}

/** Differs when the file does; a file that is not there has one too. */
function markOf(path: string): string {
  try {
    const { ino, size, mtimeMs } = statSync(path)
    return `${ino} ${size} ${mtimeMs}`
  } catch {
    return 'not there'
  }
}
