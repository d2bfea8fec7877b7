import type { Problem } from '../wire/rest.ts'
import { type Access, accessTo } from './access.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, Interrupted, type Io } from './io.ts'

/**
 * Talks to one cluster over REST. A mutation carries a request id and is sent again under the same one when nobody
 * answered or the answer was 503, so that a retry never does the thing twice; reads are repeated only while a command
 * waits for something anyway.
 */

/** How long a mutation is retried when the user sets no `--timeout`, ms. */
const MUTATION_RETRY_MS = 10_000
const ATTEMPT_MS_MAX = 30_000
const DELAY_MS_MIN = 200
const DELAY_MS_MAX = 2_000

export interface RestClient {
  readonly url: string
  /** What it shows this cluster; the other nodes of it are shown the same. */
  access(): Promise<Access>
  get<T>(path: string, options?: { retryUntilMs?: number }): Promise<T>
  /** Null on 404 instead of a failure. */
  find<T>(path: string, options?: { retryUntilMs?: number }): Promise<T | null>
  post<T>(path: string, body: unknown): Promise<T>
}

interface Sent {
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
}

/** `access`: of the cluster that this is another node of. `timeoutMs`: how long to go on trying in all; undefined takes the defaults above. */
export function restClient(
  io: Io,
  url: string,
  options: { timeoutMs?: number | undefined; access?: Access } = {},
): RestClient {
  let found: Promise<Access> | null = null
  const access = (): Promise<Access> => {
    found ??= options.access === undefined ? accessTo(io, url) : Promise.resolve(options.access)
    return found
  }
  const read = async <T>(path: string, retryUntilMs?: number): Promise<{ status: number; value: T }> => {
    const until = retryUntilMs ?? (options.timeoutMs === undefined ? 0 : io.now() + options.timeoutMs)
    const { status, value } = await request(path, { method: 'GET', headers: {} }, until)
    return { status, value: value as T }
  }

  const request = async (path: string, sent: Sent, untilMs: number): Promise<{ status: number; value: unknown }> => {
    for (let attempt = 0, told = false; ; attempt++) {
      const answer = await send(path, sent)
      if (answer.type === 'answered' && answer.status !== 503) return answer
      const hint = answer.type === 'answered' ? answer.retryAfterMs : null
      const delayMs = Math.min(hint ?? DELAY_MS_MIN * 2 ** attempt, DELAY_MS_MAX)
      if (io.now() + delayMs > untilMs) throw answer.type === 'answered' ? refusal(answer) : answer.failure
      if (!told) {
        const why = answer.type === 'answered' ? refusal(answer).message : answer.failure.message
        io.stderr.write(`${why}; trying again for ${Math.ceil((untilMs - io.now()) / 1000)} s\n`)
        told = true
      }
      await io.sleep(delayMs)
    }
  }

  type Answer =
    | { type: 'answered'; status: number; value: unknown; retryAfterMs: number | null }
    | { type: 'lost'; failure: CliFailure }

  const send = async (path: string, sent: Sent): Promise<Answer> => {
    const timeout = AbortSignal.timeout(ATTEMPT_MS_MAX)
    try {
      const { ca, headersFor } = await access()
      const { status, retryAfter, text } = await io.http({
        ...sent,
        url: url + path,
        headers: { accept: 'application/json', 'daybreak-user': io.user, ...headersFor(url), ...sent.headers },
        ...(ca === undefined ? {} : { ca }),
        signal: AbortSignal.any([io.interrupted, timeout]),
      })
      const after = Number(retryAfter ?? Number.NaN)
      const retryAfterMs = Number.isFinite(after) ? after * 1000 : null
      return { type: 'answered', status, value: parseBody(text, status, url), retryAfterMs }
    } catch (cause) {
      if (io.interrupted.aborted) throw new Interrupted()
      if (cause instanceof CliFailure) throw cause
      return { type: 'lost', failure: unreachable(url, timeout.aborted ? new Error('no answer', { cause }) : cause) }
    }
  }

  return {
    url,
    access,
    get: async <T>(path: string, more: { retryUntilMs?: number } = {}) => {
      const answer = await read<T>(path, more.retryUntilMs)
      if (answer.status >= 300) throw refusal(answer)
      return answer.value
    },
    find: async <T>(path: string, more: { retryUntilMs?: number } = {}) => {
      const answer = await read<T>(path, more.retryUntilMs)
      // That nothing is there is known from a node only, not from whatever else listens at that address.
      if (answer.status === 404 && typeof (answer.value as Partial<Problem> | null)?.code !== 'string')
        throw stranger(url)
      if (answer.status === 404) return null
      if (answer.status >= 300) throw refusal(answer)
      return answer.value
    },
    post: async <T>(path: string, body: unknown) => {
      const headers = { 'content-type': 'application/json', 'idempotency-key': io.newRequestId() }
      const until = io.now() + (options.timeoutMs ?? MUTATION_RETRY_MS)
      const answer = await request(path, { method: 'POST', headers, body: JSON.stringify(body) }, until)
      if (answer.status >= 300) throw refusal(answer)
      return answer.value as T
    },
  }
}

/** All of a list that comes in pages, and the last page for what stands beside it. Older nodes give the whole list at once. */
export async function everyPage<P extends { readonly next?: string | null }, T>(
  { get }: Pick<RestClient, 'get'>,
  path: string,
  itemsOf: (page: P) => readonly T[],
  query: Readonly<Record<string, string>> = {},
): Promise<{ readonly items: readonly T[]; readonly last: P }> {
  const items: T[] = []
  for (let cursor: string | null = null; ; ) {
    const search = new URLSearchParams({ ...query, limit: '1000', ...(cursor === null ? {} : { cursor }) })
    const page: P = await get<P>(`${path}?${search}`)
    items.push(...itemsOf(page))
    cursor = page.next ?? null
    if (cursor === null) return { items, last: page }
  }
}

/** `/api/v1/jobs/role/env/name` */
export function jobPath(key: { role: string; environment: string; name: string }): string {
  return `/api/v1/jobs/${[key.role, key.environment, key.name].map(encodeURIComponent).join('/')}`
}

function parseBody(text: string, status: number, url: string): unknown {
  if (text === '') return null
  try {
    return JSON.parse(text)
  } catch {
    // A refusal in plain text is shown as it is; an answer that is no JSON comes from something else than a scheduler.
    if (status >= 400) return { detail: text.trim().slice(0, 500) }
    throw stranger(url)
  }
}

function stranger(url: string): CliFailure {
  return new CliFailure(CLIENT_EXIT.network, `${url} answers, but not as a Daybreak node does`, {
    remedy: 'check the URL and that the port is the HTTP port of a node (8081 unless configured)',
  })
}

const TLS_TROUBLE = /CERT|SIGNATURE|ISSUER/

export function unreachable(url: string, cause: unknown): CliFailure {
  const { code, message } = cause as NodeJS.ErrnoException
  const why = code === 'ECONNREFUSED' ? 'connection refused' : message || code || 'no answer'
  const remedy = TLS_TROUBLE.test(code ?? '')
    ? 'who signs its certificate is told by `ca` in the clusters file, or by DAYBREAK_CA'
    : code === 'ECONNREFUSED'
      ? 'is a node running? `daybreak start config/local.yaml` starts one; --url or DAYBREAK_URL name another address'
      : 'check the address: --url, DAYBREAK_URL, or the clusters file'
  return new CliFailure(CLIENT_EXIT.network, `Cannot reach the scheduler at ${url}: ${why}`, { remedy, cause })
}

export function refusal(answer: { status: number; value: unknown }): CliFailure {
  const problem = (answer.value ?? {}) as Partial<Problem>
  const exits: Readonly<Record<number, ClientExit>> = {
    401: CLIENT_EXIT.authentication,
    403: CLIENT_EXIT.authentication,
    404: CLIENT_EXIT.notFound,
    503: CLIENT_EXIT.network,
  }
  const text = problem.detail || problem.title || `The scheduler answered ${answer.status}`
  return new CliFailure(exits[answer.status] ?? CLIENT_EXIT.refused, text, {
    ...(problem.code === undefined ? {} : { code: problem.code }),
    ...(problem.remedy === undefined ? {} : { remedy: problem.remedy }),
    ...(Array.isArray(problem.faults) ? { faults: problem.faults as never } : {}),
  })
}
