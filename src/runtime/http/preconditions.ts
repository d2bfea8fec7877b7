/**
 * `ETag`, `If-None-Match` and `If-Match` of a job, by its version (`core/job/job-version.ts`). Whether a condition holds
 * for a change is decided where the change is made; here it is only read. Source: RFC 9110, section 13.
 */
import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { JobKey } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import { jobVersion, type WantedVersion } from '../../core/job/job-version.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { refuse } from './rest-answers.ts'

const TAG = /^(?:W\/)?"([\x21\x23-\x7e]{0,128})"$/
const TAGS_MAX = 100
const NAMES = { 'if-match': 'If-Match', 'if-none-match': 'If-None-Match' } as const

/**
 * The versions in a header; undefined: it is not there; null: the refusal has been sent. A tag that a proxy has weakened
 * on the way counts, as the version is the same.
 */
export function readTags(
  header: keyof typeof NAMES,
  request: FastifyRequest,
  reply: FastifyReply,
): WantedVersion | undefined | null {
  const text = request.headers[header]?.trim()
  if (text === undefined) return undefined
  if (text === '*') return 'any'
  const found = text.split(',').map(part => TAG.exec(part.trim())?.[1])
  const tags = found.filter(tag => tag !== undefined)
  if (tags.length === found.length && tags.length <= TAGS_MAX) return tags
  const detail = `${NAMES[header]} must be versions in double quotes, or *`
  const remedy = `copy the ETag of an answer as it stands, such as ${NAMES[header]}: "0123456789abcdef"`
  refuse(reply, rejected('MALFORMED', detail, { remedy }))
  return null
}

/** True: whoever asks has that version already. */
export function isKnown(version: string | null, unless: WantedVersion | undefined): boolean {
  if (version === null || unless === undefined) return false
  return unless === 'any' || unless.includes(version)
}

export function versionOf(view: LedgerView, key: JobKey): string | null {
  return jobVersion(view, key, text => createHash('sha256').update(text).digest('hex'))
}
