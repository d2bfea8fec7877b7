/** The OpenAPI 3.1 document of `/api/v1`, made from the schemas that also check the requests. Built when first asked for. */
import { z } from 'zod'
import {
  ANSWER_HEADERS,
  CALL_ID,
  type Json,
  NOT_MODIFIED,
  PARAMETERS,
  REFUSALS,
  type Refusal,
  reference,
  refusedResponses,
} from './openapi-parts.ts'
import { DOCUMENTED, type Documented, SCHEMAS } from './openapi-routes.ts'
import { API, ROUTES } from './routes.ts'

let built: { readonly version: string; readonly document: Json } | null = null

export function openApiDocument(version: string): Json {
  if (built?.version !== version) built = { version, document: build(version) }
  return built.document
}

function build(version: string): Json {
  const paths: Record<string, Json> = {}
  for (const route of ROUTES) {
    const documented = DOCUMENTED[`${route.method} ${route.path}`]
    if (documented === undefined) continue
    const path = route.path.slice(API.length)
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route, documented) }
  }
  const bodies = new Set<z.ZodType | undefined>(Object.values(DOCUMENTED).map(({ body }) => body))
  const schemas = Object.fromEntries(
    Object.entries(SCHEMAS).map(([name, schema]) => [name, schemaOf(schema, bodies.has(schema) ? 'input' : 'output')]),
  )
  return {
    openapi: '3.1.0',
    info: {
      title: 'Daybreak',
      version,
      description:
        'Times are ms since the epoch. Paths marked x-answered-by: leader answer 307 on other nodes. Where security is on, requests without credentials are answered 401, those without the permission 403; both are problems as any other.',
      license: { name: 'Apache 2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: API }],
    // Each by itself; none where security is off.
    security: [{ basic: [] }, { token: [] }, {}],
    paths,
    components: {
      schemas,
      securitySchemes: SECURITY_SCHEMES,
      parameters: PARAMETERS,
      headers: ANSWER_HEADERS,
      responses: refusedResponses(),
    },
  }
}

const SECURITY_SCHEMES = {
  basic: { type: 'http', scheme: 'basic' },
  token: { type: 'http', scheme: 'bearer' },
} as const

function operation(route: (typeof ROUTES)[number], documented: Documented): Json {
  const { query, body, answer, status = 200, media = 'application/json', isRepeatable, version } = documented
  const isChange = route.method !== 'GET' && isRepeatable === undefined
  const inPath = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
  const parameters = [
    ...inPath.map(name => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    ...(query === undefined ? [] : queryParameters(query)),
    { $ref: '#/components/parameters/CallId' },
    ...(route.method === 'GET' ? [] : [{ $ref: '#/components/parameters/User' }]),
    ...(isChange ? [{ $ref: '#/components/parameters/RequestId' }] : []),
    ...(version === 'change' ? [{ $ref: '#/components/parameters/IfMatch' }] : []),
    ...(version === 'read' && route.method === 'GET' ? [{ $ref: '#/components/parameters/IfNoneMatch' }] : []),
    ...(media === 'text/event-stream' ? [{ $ref: '#/components/parameters/LastEventId' }] : []),
  ]
  const bodyName = Object.entries(SCHEMAS).find(([, schema]) => schema === body)?.[0]
  const headers = {
    ...CALL_ID,
    ...(isChange ? { 'Idempotency-Key': { $ref: '#/components/headers/RequestId' } } : {}),
    ...(version === 'read' ? { ETag: { $ref: '#/components/headers/Version' } } : {}),
  }
  return {
    operationId: operationId(route.method, route.path),
    summary: route.meaning,
    tags: [tagOf(route.path)],
    'x-answered-by': route.by,
    parameters,
    ...(bodyName === undefined ? {} : { requestBody: bodyOf(bodyName, body) }),
    responses: {
      [String(status)]: { description: 'Done', headers, content: { [media]: { schema: reference(answer) } } },
      ...(version === 'read' && route.method === 'GET' ? { 304: NOT_MODIFIED } : {}),
      ...(route.by === 'leader' ? { 307: { $ref: '#/components/responses/AnotherNodeLeads' } } : {}),
      ...Object.fromEntries(
        refusalsOf(route, documented).map(code => [code, { $ref: `#/components/responses/${REFUSALS[code].name}` }]),
      ),
      default: { $ref: '#/components/responses/Refused' },
    },
  }
}

/** All can be optional: then no body is the same as an empty one. */
function bodyOf(name: string, body: z.ZodType | undefined): Json {
  const required = body?.safeParse({}).success !== true
  return { required, content: { 'application/json': { schema: reference(name) } } }
}

/** What follows from the form of a route, and what it says of itself. */
function refusalsOf(
  { by, path, method }: (typeof ROUTES)[number],
  { query, body, version, refusals = [] }: Documented,
): Refusal[] {
  const found = new Set<Refusal>([401, 403, 500, ...refusals])
  if (by === 'leader' || path !== `${API}/openapi.json`) found.add(503)
  if (path.includes('{')) found.add(404)
  if (query !== undefined || method !== 'GET' || version === 'read') found.add(400)
  if (query !== undefined || method !== 'GET') found.add(422)
  if (body !== undefined) for (const code of [413, 415] as const) found.add(code)
  if (version === 'change') found.add(412)
  return [...found].sort((a, b) => a - b)
}

/** The first word of a path: `jobs`, `log`. */
const tagOf = (path: string): string => /^\/([\w-]+)/.exec(path.slice(API.length))?.[1] ?? 'node'

/** `GET /api/v1/jobs/{role}/{environment}/{name}` is `getJobsByRoleEnvironmentName`. */
function operationId(method: string, path: string): string {
  const parts = path
    .slice(API.length)
    .split(/[/:]/)
    .filter(part => part !== '')
  const words = parts.map(part => (part.startsWith('{') ? part.slice(1, -1) : part))
  const named = words.map((word, index) => {
    const big = word.charAt(0).toUpperCase() + word.slice(1)
    return parts[index]?.startsWith('{') && !parts[index - 1]?.startsWith('{') ? `By${big}` : big
  })
  return method.toLowerCase() + named.join('')
}

function queryParameters(query: z.ZodObject): Json[] {
  const { properties, required } = schemaOf(query, 'input') as { properties: Record<string, Json>; required?: string[] }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required?.includes(name) ?? false,
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any' }) as Json
  return rest
}
