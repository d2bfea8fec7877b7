/**
 * The one HTTP port of a node: health and numbers for machines, `/inspect` for people, JSON REST under `/api/v1`. It
 * talks to actors only through what it is given, so any process (scheduler, agent, both) can serve it. Every error is
 * `application/problem+json` with a code of the rejection table. See docs/design/0008-config-and-http.md.
 */
import type { Server } from 'node:http'
import compress from '@fastify/compress'
import Fastify, { type FastifyInstance } from 'fastify'
import type { ActorSystem, Ref } from '../actors/actor.ts'
import type * as AgentGateway from '../actors/agent-gateway.ts'
import type * as Backup from '../actors/backup.ts'
import type * as EventTail from '../actors/event-tail.ts'
import type { HealthBoard } from '../actors/health.ts'
import type { InspectorReport } from '../actors/inspector.ts'
import type * as JobKeeper from '../actors/job-keeper.ts'
import type { Ledger } from '../actors/ledger.ts'
import type { PlacementView } from '../actors/offer-broker.ts'
import type { Clock, LeaderView, Logger, LogPort } from '../actors/ports.ts'
import type * as TaskAdmin from '../actors/task-admin.ts'
import type * as WhatIf from '../actors/what-if.ts'
import { rejected } from '../core/base/rejection.ts'
import type { AdmissionSettings } from '../core/job/admission.ts'
import type { LifeView } from '../core/lifecycle/life-view.ts'
import { addApiBetaRoutes } from './http/api-beta-routes.ts'
import { addAuroraRoutes } from './http/aurora-routes.ts'
import { addCallIds, CALL_ID_HEADER, callIdOf } from './http/call-id.ts'
import { addCors } from './http/cors.ts'
import type { StreamTiming } from './http/event-stream.ts'
import { addGate } from './http/gate.ts'
import { addHealthRoutes } from './http/health-routes.ts'
import { addInspectRoutes } from './http/inspect-routes.ts'
import { readJsonBody, sendProblem } from './http/problem.ts'
import { addProcessRoutes, type ProcessEnd } from './http/process-routes.ts'
import { addRestRoutes } from './http/rest-routes.ts'
import { missingRoute } from './http/routes.ts'
import { addThriftRoutes } from './http/thrift-routes.ts'
import { refuseUnreadable } from './http/unreadable.ts'
import { addVarsRoutes } from './http/vars-routes.ts'
import type { Quotas } from './leader.ts'
import type { NodeMetrics } from './metrics.ts'
import type { Guard } from './security/guard.ts'

export interface HttpDeps {
  readonly node: {
    readonly memberId: number
    readonly name: string
    readonly version: string
    readonly cluster: { readonly name: string }
  }
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: NodeMetrics
  /** Where the Health actor leaves its verdict; read even when that actor is stuck. */
  readonly health: HealthBoard
  /** Merged from all threads. */
  readonly inspect: () => Promise<InspectorReport>
  /** Null in a process that is only an agent: REST answers `Storage is not READY` there. */
  readonly scheduler: SchedulerDeps | null
  /** Of the streams of events; what is not given is as usual. */
  readonly eventTiming?: Partial<StreamTiming>
  /** Who may do what; null or not given: everybody everything. */
  readonly guard?: Guard | null
  /** By which `/quitquitquit` and `/abortabortabort` end this process; not given: they do not. */
  readonly processEnd?: ProcessEnd
  /** The name under which clients are sent here. */
  readonly ownHost?: string
  /** Whose pages may use the API from a browser. */
  readonly corsOrigins?: readonly string[]
}

export interface SchedulerDeps {
  readonly system: ActorSystem
  readonly ledger: Ledger
  readonly log: LogPort
  readonly events: Ref<EventTail.Command>
  /** By these this node admits jobs when it leads. */
  readonly admission: AdmissionSettings
  /** The latest view told by the log thread; null before the first. */
  readonly leader: () => LeaderView | null
  /** Where the node is in its life as a scheduler. */
  readonly life: () => LifeView
  /** Null while this node does not lead. */
  readonly jobKeeper: () => Ref<JobKeeper.Command> | null
  readonly gateway: () => Ref<AgentGateway.Command> | null
  readonly taskAdmin: () => Ref<TaskAdmin.Command> | null
  readonly backup: () => Ref<Backup.Command> | null
  readonly quotas: () => Quotas | null
  readonly whatIf: () => Ref<WhatIf.Command> | null
  readonly placement: () => PlacementView | null
  readonly agents: () => AgentGateway.AgentLiveView | null
}

export interface HttpOptions extends HttpDeps {
  readonly host: string
  /** 0: any free one. */
  readonly port: number
  /** Bytes. Default 4 MiB. */
  readonly bodyMax?: number
  /** How long a client may take to send a request. Default 1 min. */
  readonly requestTimeoutMs?: number
  /** PEM; null or not given: http. */
  readonly tls?: { readonly cert: string; readonly key: string } | null
}

export interface HttpServer {
  /** As bound: `http://127.0.0.1:8081`, or https. */
  readonly url: string
  readonly port: number
  /** For WebSocket upgrades. */
  readonly server: Server
  /** Stops listening, lets running requests end (at most `graceMs`), then cuts the rest. */
  close(graceMs?: number): Promise<void>
}

type AppOptions = Pick<HttpOptions, 'bodyMax' | 'requestTimeoutMs' | 'tls'>

const BODY_BYTES_MAX = 4 * 1024 * 1024
const REQUEST_TIMEOUT_MS = 60_000
const HEADERS_MS_MAX = 20_000
/** How often it is looked for requests that take too long. */
const CONNECTIONS_CHECK_MS = 5_000
const CLOSE_GRACE_MS = 5_000
/** Bytes; less is not worth the work. */
const COMPRESSED_MIN = 2_048

/** Rejects when the port is taken. */
export async function startHttpServer(options: HttpOptions): Promise<HttpServer> {
  const app = createHttpApp(options, options)
  const running = watchRequests(app.server)
  await app.listen({ host: options.host, port: options.port })
  const address = app.server.address()
  const port = typeof address === 'object' && address !== null ? address.port : options.port
  const host = options.host.includes(':') ? `[${options.host}]` : options.host
  return {
    url: `${options.tls == null ? 'http' : 'https'}://${host}:${port}`,
    port,
    server: app.server,
    close: async (graceMs = CLOSE_GRACE_MS) => {
      const closed = app.close()
      const cut = setTimeout(() => app.server.closeAllConnections(), graceMs)
      await running.none()
      app.server.closeAllConnections()
      await closed
      clearTimeout(cut)
    },
  }
}

/** Connections without a request in progress need not be waited for, and some of them never send one. */
function watchRequests(server: Server): { none(): Promise<void> } {
  let count = 0
  let ended: (() => void) | null = null
  server.on('request', (_request, response) => {
    count += 1
    response.once('close', () => {
      count -= 1
      if (count === 0) ended?.()
    })
  })
  return {
    none: () =>
      new Promise(resolve => {
        if (count === 0) resolve()
        else ended = resolve
      }),
  }
}

/** The app without a port, for tests by injection. */
export function createHttpApp(
  deps: HttpDeps,
  { bodyMax = BODY_BYTES_MAX, requestTimeoutMs = REQUEST_TIMEOUT_MS, tls = null }: AppOptions = {},
): FastifyInstance {
  const server = { connectionsCheckingInterval: Math.min(requestTimeoutMs, CONNECTIONS_CHECK_MS) }
  const app = Fastify({
    logger: false,
    bodyLimit: bodyMax,
    forceCloseConnections: 'idle',
    requestTimeout: requestTimeoutMs,
    ...(tls === null
      ? { http: server }
      : { https: { ...server, cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' } }),
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 1024 },
    exposeHeadRoutes: true,
    requestIdHeader: false,
    genReqId: callIdOf,
    clientErrorHandler: refuseUnreadable,
    // A path that cannot be decoded reaches no hook and no handler.
    frameworkErrors: (trouble, request, reply) => {
      reply.raw.setHeader(CALL_ID_HEADER, request.id)
      sendProblem(reply, rejected('MALFORMED', trouble.message, { remedy: 'encode % in paths as %25' }), 400)
    },
  })
  // Were it the longer of the two, Node.js would take it for the time of the whole request.
  app.server.headersTimeout = Math.min(requestTimeoutMs, HEADERS_MS_MAX)
  addCallIds(app)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (_request, body, done) => {
    const read = readJsonBody(String(body))
    if (read.ok) done(null, read.value)
    else done(Object.assign(new Error(read.detail), { statusCode: 400 }))
  })
  app.setErrorHandler((error, request, reply) => {
    const trouble: Error & { statusCode?: number } = error instanceof Error ? error : new Error(String(error))
    const status = trouble.statusCode ?? 500
    if (status >= 400 && status < 500) {
      sendProblem(reply, rejected('MALFORMED', clientFault(status, trouble.message, bodyMax)), status)
      return
    }
    const { id: callId, method, url: path } = request
    deps.logger.error('request-failed', { method, path, callId, cause: trouble })
    const remedy = `look for \`request-failed\` with callId=${callId} in the log of ${deps.node.name}`
    sendProblem(reply, rejected('INTERNAL', undefined, { remedy }))
  })
  app.setNotFoundHandler((request, reply) => {
    const { rejection, status, allow } = missingRoute(request.method, request.url)
    if (allow !== null) reply.header('allow', allow)
    sendProblem(reply, rejection, status)
  })
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'none'
    deps.metrics.observe('http_request_seconds', reply.elapsedTime / 1000, { method: request.method, route })
    deps.metrics.count('http_responses_total', 1, { status: String(reply.statusCode) })
    deps.logger.debug('http-answered', {
      method: request.method,
      path: request.url,
      status: reply.statusCode,
      tookMs: Math.round(reply.elapsedTime),
      callId: request.id,
    })
    done()
  })
  addCors(app, deps.corsOrigins ?? [])
  addGate(app, deps)
  addHealthRoutes(app, deps)
  addVarsRoutes(app, deps)
  addInspectRoutes(app, deps)
  addRestRoutes(app, deps)
  app.register(async scope => addProcessRoutes(scope, deps))
  app.register(async scope => {
    await scope.register(compress, {
      encodings: ['gzip'],
      threshold: COMPRESSED_MIN,
      customTypes: /thrift|json|html|text/,
    })
    // Each reads bodies in its own way.
    scope.register(async inner => {
      inner.removeAllContentTypeParsers()
      inner.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
      addThriftRoutes(inner, deps)
      addApiBetaRoutes(inner, deps)
    })
    scope.register(async inner => addAuroraRoutes(inner, deps))
  })
  return app
}

function clientFault(status: number, message: string, bodyMax: number): string {
  if (status === 413) return `The body is larger than ${bodyMax} bytes`
  if (status === 415) return 'Unsupported Content-Type: send application/json'
  return message
}
