import { join } from 'node:path'
import { knownClusters } from './clusters.ts'
import { CLIENT_EXIT } from './exit-status.ts'
import { httpSend } from './http-request.ts'
import { CliFailure, type Io, processFiles, unreadable } from './io.ts'

/**
 * What the client shows a cluster, and how it knows it: a token of DAYBREAK_TOKEN, or the token or user and password of
 * `~/.daybreak/credentials`; and the CA of DAYBREAK_CA or of the clusters file, for https.
 */
export interface Access {
  /** What was given for an https address is never shown to an http one. */
  headersFor(url: string): Readonly<Record<string, string>>
  /** PEM; undefined: the CAs that come with Node.js. */
  readonly ca: string | undefined
}

type AccessIo = Pick<Io, 'env' | 'home' | 'readText' | 'readPrivate'>

/** For the cluster that has a node at `url`: its other nodes are shown the same. */
export async function accessTo(io: AccessIo, url: string): Promise<Access> {
  const authorization = io.env.DAYBREAK_TOKEN ? bearer(io.env.DAYBREAK_TOKEN) : await authorizationOf(io, url)
  const ca = await caOf(io, url)
  const isSecure = new URL(url).protocol === 'https:'
  return {
    ca,
    headersFor: other =>
      authorization === null || (isSecure && new URL(other).protocol !== 'https:') ? {} : { authorization },
  }
}

/** `fetch` as the parts of a node use it, with what the client would show. */
export const fetchWithAccess = (async (url: string, init: RequestInit = {}) => {
  const io = processFiles()
  const { ca, headersFor } = await accessTo(io, url)
  const { status, text } = await httpSend({
    method: init.method === 'POST' ? 'POST' : 'GET',
    url,
    headers: { ...(init.headers as Record<string, string> | undefined), ...headersFor(url) },
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
    ...(typeof init.body === 'string' ? { body: init.body } : {}),
    ...(ca === undefined ? {} : { ca }),
  })
  return new Response(text, { status })
}) as typeof fetch

const ANSWER_MS_MAX = 60_000

async function caOf(io: AccessIo, url: string): Promise<string | undefined> {
  if (new URL(url).protocol !== 'https:') return undefined
  const path = io.env.DAYBREAK_CA || (await knownClusters(io)).find(place => sameOrigin(place.url, url))?.ca
  if (!path) return undefined
  try {
    return await io.readText(path)
  } catch (cause) {
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read the CA ${path}: ${unreadable(cause)}`, { cause })
  }
}

/** `CLUSTER or URL: {token: …}` or `{user: …, password: …}`. */
async function authorizationOf(io: AccessIo, url: string): Promise<string | null> {
  const path = io.env.DAYBREAK_CREDENTIALS || join(io.home, '.daybreak', 'credentials')
  let text: string
  try {
    text = await io.readPrivate(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && !io.env.DAYBREAK_CREDENTIALS) return null
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read ${path}: ${unreadable(cause)}`, {
      remedy: `it holds secrets: \`chmod 600 ${path}\``,
      cause,
    })
  }
  const fault = (what: string): CliFailure =>
    new CliFailure(CLIENT_EXIT.configuration, `${path} cannot be used: ${what}`, {
      remedy: 'write CLUSTER: {token: …}, or CLUSTER: {user: …, password: …}; a URL may stand for CLUSTER, in quotes',
    })
  const { parse } = await import('yaml')
  let entries: unknown
  try {
    entries = parse(text)
  } catch {
    // The library would quote the line, and with it the secret.
    throw fault('it is no YAML')
  }
  if (entries === null) return null
  if (typeof entries !== 'object' || Array.isArray(entries)) throw fault('a map is expected')
  const places = await knownClusters(io)
  for (const [name, entry] of Object.entries(entries)) {
    const place = URL.canParse(name) && name.includes('://') ? name : places.find(one => one.name === name)?.url
    if (place === undefined || !sameOrigin(place, url)) continue
    const { token, user, password } = (entry ?? {}) as Record<string, unknown>
    if (typeof token === 'string' && token !== '') return bearer(token)
    if (typeof user === 'string' && typeof password === 'string')
      return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
    throw fault(`${name} has neither a token nor a user and a password, each as text`)
  }
  return null
}

function bearer(token: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return `Bearer ${token}`
  throw new CliFailure(CLIENT_EXIT.configuration, 'The token has blanks or letters that no token has', {
    remedy: 'copy it again, as `daybreak security token` has printed it',
  })
}

const sameOrigin = (a: string, b: string): boolean => new URL(a).origin === new URL(b).origin
