import type { EventDocument } from '../wire/events.ts'
import type { LogStatusView } from '../wire/rest.ts'
import { type Access, accessTo } from './access.ts'
import { clusterUrl } from './clusters.ts'
import { parseDuration } from './command.ts'
import { eventLine } from './event-text.ts'
import type { EventOptions } from './events.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { HttpStream } from './http-request.ts'
import { CliFailure, Interrupted, type Io } from './io.ts'
import { parseJobKey } from './keys.ts'
import { refusal, restClient, unreachable } from './rest-client.ts'
import { styleOf } from './screen.ts'
import { readSse, type SseBlock } from './sse.ts'

/**
 * Reads events from any node of a cluster. Where it stands is the id of the last thing it was told, which every node
 * understands, so when its node is lost it goes on at the next one: with the next event, neither later nor earlier.
 */

/** A node says something every 15 s; after so long without it is taken for lost. */
const SILENCE_MS_MAX = 45_000
/** How long without any node before following is given up, ms; `--timeout` says otherwise. */
const OUTAGE_MS = 60_000
const PAUSE_MS_MIN = 200
const PAUSE_MS_MAX = 2_000

type End =
  | { readonly type: 'ended' }
  | { readonly type: 'lost'; readonly failure: CliFailure; readonly hadSome: boolean }

export async function showEvents(io: Io, options: EventOptions): Promise<ClientExit> {
  const key = options.job === undefined ? null : parseJobKey(options.job)
  const first = await clusterUrl(io, key?.cluster ?? options.cluster, options.url)
  const follow = options.follow === true
  const query = new URLSearchParams({ follow: String(follow) })
  const from = options.from ?? (follow ? null : 'begin')
  if (from !== null) query.set('from', from)
  if (key !== null) query.set('job', `${key.role}/${key.environment}/${key.name}`)
  if (options.task !== undefined) query.set('task', options.task)
  if (options.type !== undefined) query.set('type', options.type)
  const outageMs = parseDuration(options.timeout) ?? (follow ? OUTAGE_MS : 0)
  const style = styleOf(io.stdout, io.env)
  const show = (event: EventDocument): void =>
    void io.stdout.write(options.json === true ? `${JSON.stringify(event)}\n` : eventLine(event, style))

  const access = await accessTo(io, first)
  const reader = new EventReader(io, access, { path: `/api/v1/events?${query}`, show })
  const nodes = new NodeList(first, access)
  for (let failures = 0, lostAtMs = io.now(); ; ) {
    const url = nodes.present
    if (follow) void nodes.learn(io)
    const end = await reader.read(url)
    if (end.type === 'ended' && !follow) return CLIENT_EXIT.ok
    if (end.type === 'ended' || end.hadSome) {
      failures = 0
      lostAtMs = io.now()
    }
    nodes.next()
    if (end.type === 'lost' && io.now() - lostAtMs >= outageMs) throw end.failure
    const why = end.type === 'lost' ? end.failure.message : `${url} has ended the stream`
    const place = reader.lastId === null ? '' : ` behind ${reader.lastId}`
    io.stderr.write(`${why}; going on at ${nodes.present}${place}\n`)
    await io.sleep(Math.min(PAUSE_MS_MIN * 2 ** failures, PAUSE_MS_MAX))
    failures += 1
  }
}

class EventReader {
  /** What every node goes on behind; null until one has said where it began. */
  lastId: string | null = null
  readonly #io: Io
  readonly #path: string
  readonly #show: (event: EventDocument) => void
  readonly #access: Access

  constructor(io: Io, access: Access, { path, show }: { path: string; show: (event: EventDocument) => void }) {
    this.#io = io
    this.#access = access
    this.#path = path
    this.#show = show
  }

  /** Until the stream ends or is lost. Fails when the node refuses for good. */
  async read(url: string): Promise<End> {
    const silence = new AbortController()
    const silent = (): void => silence.abort(new Error(`nothing heard for ${SILENCE_MS_MAX / 1_000} s`))
    let timer = setTimeout(silent, SILENCE_MS_MAX)
    let hadSome = false
    try {
      const stream = await this.#open(url, AbortSignal.any([this.#io.interrupted, silence.signal]))
      if (stream.status !== 200) return { type: 'lost', failure: await refused(stream), hadSome }
      for await (const block of readSse(stream.chunks)) {
        clearTimeout(timer)
        timer = setTimeout(silent, SILENCE_MS_MAX)
        hadSome = true
        this.#take(block)
      }
      return { type: 'ended' }
    } catch (cause) {
      if (this.#io.interrupted.aborted) throw new Interrupted()
      if (cause instanceof CliFailure) throw cause
      return {
        type: 'lost',
        failure: unreachable(url, silence.signal.aborted ? silence.signal.reason : cause),
        hadSome,
      }
    } finally {
      clearTimeout(timer)
      silence.abort()
    }
  }

  #open(url: string, signal: AbortSignal): Promise<HttpStream> {
    const place: Record<string, string> = this.lastId === null ? {} : { 'last-event-id': this.lastId }
    const { ca, headersFor } = this.#access
    return this.#io.httpStream({
      method: 'GET',
      url: url + this.#path,
      headers: { accept: 'text/event-stream', 'daybreak-user': this.#io.user, ...headersFor(url), ...place },
      signal,
      ...(ca === undefined ? {} : { ca }),
    })
  }

  #take({ id, event, data }: SseBlock): void {
    if (event === 'gone') throw gone((JSON.parse(data) as { detail: string }).detail)
    if (data !== '') this.#show(JSON.parse(data) as EventDocument)
    // Only now: what was not shown is asked for again.
    if (id !== null) this.lastId = id
  }
}

/** The nodes of the cluster, as far as they are known; one after the other is asked. */
class NodeList {
  present: string
  readonly #urls: string[]
  readonly #access: Access
  #learned = false

  constructor(first: string, access: Access) {
    this.present = first
    this.#access = access
    this.#urls = [first]
  }

  next(): void {
    const at = this.#urls.indexOf(this.present)
    this.present = this.#urls[(at + 1) % this.#urls.length] as string
  }

  /** Asks the present node for the others. Without an answer the ones known must do. */
  async learn(io: Io): Promise<void> {
    if (this.#learned) return
    try {
      const client = restClient(io, this.present, { access: this.#access })
      const { peers, view } = await client.get<LogStatusView>('/api/v1/log/status')
      for (const url of [view.leader?.httpUrl, ...peers.map(peer => peer.httpUrl)]) {
        const trimmed = url?.replace(/\/+$/, '') ?? ''
        if (trimmed !== '' && !this.#urls.includes(trimmed)) this.#urls.push(trimmed)
      }
      // Peers that were never reached are asked for again.
      this.#learned = peers.every(peer => peer.httpUrl !== null)
    } catch (cause) {
      if (!(cause instanceof CliFailure || cause instanceof Interrupted)) throw cause
    }
  }
}

/** A refusal that another node may not give is an outage of this one. */
async function refused({ status, chunks }: HttpStream): Promise<CliFailure> {
  const pieces: Uint8Array[] = []
  for await (const piece of chunks) pieces.push(piece)
  const text = Buffer.concat(pieces).toString('utf8')
  let value: unknown = { detail: text.slice(0, 500) }
  try {
    value = JSON.parse(text)
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
  }
  const failure = refusal({ status, value })
  if (status < 500) throw failure
  return failure
}

function gone(detail: string): CliFailure {
  const remedy = 'see the present state with `daybreak job status`, then begin anew'
  return new CliFailure(CLIENT_EXIT.refused, detail, { code: 'LOG_TRUNCATED', remedy })
}
