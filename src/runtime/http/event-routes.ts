/** `GET /api/v1/events`: what happens in the cluster, from any node, as server-sent events. See docs/design/0014-events.md. */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Fault, rejected } from '../../core/base/rejection.ts'
import { type ClusterEventType, EVENT_TYPES } from '../../core/events/cluster-events.ts'
import { type EventCursor, readEventCursor } from '../../core/events/event-cursor.ts'
import { type EventFilter, readJobFilter } from '../../core/events/event-filter.ts'
import { type EventQuery, eventQuery } from '../../wire/events.ts'
import { USER_HEADER } from '../../wire/rest.ts'
import type { HttpDeps } from '../http-server.ts'
import { EventStream, STREAM_TIMING, truncatedText } from './event-stream.ts'
import { notReady } from './leader-guard.ts'
import { parsed, refuse } from './rest-answers.ts'
import { API } from './routes.ts'

/** Readers of one node at a time. */
const READERS_MAX = 1_000

export function addEventRoutes(app: FastifyInstance, deps: HttpDeps): void {
  const streams = new Set<EventStream>()
  let serial = 0

  // Streams have no end of their own, and the server waits for what is running.
  const endAll = (): void => {
    for (const stream of [...streams]) stream.end()
  }
  app.addHook('preClose', done => {
    endAll()
    done()
  })
  // Readers come again with their last id, those who still may.
  deps.guard?.onRenewed(endAll)

  app.route({
    method: 'GET',
    url: `${API}/events`,
    exposeHeadRoute: false,
    handler: async (request, reply) => {
      const { scheduler, logger } = deps
      const query = parsed(reply, eventQuery, request.query)
      if (query === null) return reply
      if (scheduler === null) return refuse(reply, notReady())
      const filter = filterOf(query)
      if ('faults' in filter) return refuse(reply, rejected('INVALID_REQUEST', 'The query is not valid', filter))
      const { begin, commit } = await scheduler.log.status()
      const lastId = request.headers['last-event-id']
      const cursor = cursorOf(typeof lastId === 'string' ? lastId : query.from, { begin, commit })
      if (cursor === null) {
        const fault = { path: 'from', text: 'must be a position, an id such as 1204-3, or `begin`' }
        return refuse(reply, rejected('INVALID_REQUEST', 'The query is not valid', { faults: [fault] }))
      }
      if (cursor.position < begin) {
        const remedy = `read the present state (/jobs, /tasks), then events from there; ?from=${begin} is the oldest that is held`
        return refuse(reply, rejected('LOG_TRUNCATED', truncatedText(cursor, begin), { remedy }))
      }
      if (deps.guard != null && request.subject !== null && !deps.guard.isCurrent(request.subject))
        return refuse(reply, rejected('BUSY', 'Who may do what has just changed', { remedy: 'ask again' }))
      if (streams.size >= READERS_MAX) {
        const remedy = 'ask another node, or end readers of this one'
        return refuse(reply, rejected('BUSY', `${READERS_MAX} readers follow the events of this node`, { remedy }))
      }
      // What hooks have said of the answer, such as whose page may read it.
      for (const [name, value] of Object.entries(reply.getHeaders())) if (value) reply.raw.setHeader(name, value)
      reply.hijack()
      const stream: EventStream = new EventStream({
        response: reply.raw,
        tail: scheduler.events,
        address: (name, receive) => scheduler.system.function(name, receive),
        id: `event-reader-${++serial}`,
        reader: readerOf(request),
        cursor,
        filter,
        until: query.follow ? null : commit + 1,
        timing: { ...STREAM_TIMING, ...deps.eventTiming },
        logger,
        onEnd: () => queueMicrotask(() => streams.delete(stream)),
      })
      streams.add(stream)
      return reply
    },
  })
}

/** Null for what cannot be read. The last id beats the query: that is how a browser comes again. */
function cursorOf(text: string | undefined, log: { begin: number; commit: number }): EventCursor | null {
  if (text === undefined || text === '') return { position: log.commit + 1, seen: 0 }
  if (text === 'begin') return { position: Math.max(1, log.begin), seen: 0 }
  return readEventCursor(text)
}

function filterOf({
  type,
  role,
  environment,
  job,
  task,
}: EventQuery): EventFilter | { readonly faults: readonly Fault[] } {
  const faults: Fault[] = []
  const types = type?.split(',').filter(one => one !== '')
  const unknown = types?.filter(one => !isType(one)) ?? []
  if (unknown.length > 0) {
    faults.push({ path: 'type', text: `must be of ${EVENT_TYPES.join(', ')}, found ${unknown.join(', ')}` })
  }
  const ofJob = job === undefined ? {} : readJobFilter(job)
  if (ofJob === null) faults.push({ path: 'job', text: 'must be a name, or role/environment/name' })
  if (faults.length > 0) return { faults }
  return {
    ...(types === undefined ? {} : { types: types.filter(isType) }),
    ...(role === undefined ? {} : { role }),
    ...(environment === undefined ? {} : { environment }),
    ...ofJob,
    ...(task === undefined ? {} : { taskId: task }),
  }
}

const isType = (text: string): text is ClusterEventType => (EVENT_TYPES as readonly string[]).includes(text)

function readerOf(request: FastifyRequest): string {
  const user = request.subject === null ? request.headers[USER_HEADER] : (request.subject.name ?? '')
  const from = `${request.ip}:${request.socket.remotePort ?? 0}`
  return typeof user === 'string' && user !== '' ? `${user.slice(0, 100)} from ${from}` : from
}
