/** What the posts of the webhook carry that must not be seen in a config: read from files when a node starts. */
import { readFileSync } from 'node:fs'
import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { NodeConfig } from './config-schema.ts'

export interface WebhookCredentials {
  /** Null: posts are not signed. */
  readonly secret: string | null
  readonly headers: Readonly<Record<string, string>>
}

export type ReadWebhookFiles =
  | { readonly ok: true; readonly credentials: WebhookCredentials }
  | { readonly ok: false; readonly key: 'secretFile' | 'headersFile'; readonly text: string }

/** Set by each post itself, or by the connection. */
const OWN_HEADERS = new Set([
  'content-type',
  'content-length',
  'transfer-encoding',
  'connection',
  'host',
  'expect',
  'idempotency-key',
  'timestamp',
  'daybreak-signature',
])
const SECRET_CHARACTERS_MIN = 16

/** A fault names lines, never what stands in them: it may be secret. */
export function readWebhookFiles({
  secretFile,
  headersFile,
}: Pick<NodeConfig['scheduler']['webhook'], 'secretFile' | 'headersFile'>): ReadWebhookFiles {
  let secret: string | null = null
  const headers: Record<string, string> = {}
  let key: 'secretFile' | 'headersFile' = 'secretFile'
  try {
    if (secretFile !== null) {
      secret = readFileSync(secretFile, 'utf8').trim()
      if (secret.length < SECRET_CHARACTERS_MIN) {
        return {
          ok: false,
          key,
          text: `the secret in ${secretFile} is shorter than ${SECRET_CHARACTERS_MIN} characters`,
        }
      }
    }
    key = 'headersFile'
    if (headersFile !== null) {
      for (const [at, line] of readFileSync(headersFile, 'utf8').split('\n').entries()) {
        if (line.trim() === '' || line.startsWith('#')) continue
        const fault = addHeader(headers, line)
        if (fault !== null) return { ok: false, key, text: `line ${at + 1} of ${headersFile} ${fault}` }
      }
    }
  } catch (cause) {
    return { ok: false, key, text: `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}` }
  }
  return { ok: true, credentials: { secret, headers } }
}

function addHeader(headers: Record<string, string>, line: string): string | null {
  const colon = line.indexOf(':')
  const name = line.slice(0, Math.max(0, colon)).trim().toLowerCase()
  const value = line.slice(colon + 1).trim()
  try {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  } catch {
    return 'must be a header such as `Authorization: Bearer …`'
  }
  if (OWN_HEADERS.has(name)) return `sets ${name}, which every post sets itself: remove the line`
  if (Object.hasOwn(headers, name)) return `sets ${name} a second time: remove one of the two`
  headers[name] = value
  return null
}
