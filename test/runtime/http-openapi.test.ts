import { Validator } from '@seriousme/openapi-schema-validator'
import type { FastifyInstance } from 'fastify'
import { beforeAll, describe, expect, test } from 'vitest'
import { z } from 'zod'
import { rejected } from '../../src/core/base/rejection.ts'
import { API, ROUTES } from '../../src/runtime/http/routes.ts'
import { httpNode } from '../fixtures/http-node.ts'
import {
  agentRow,
  configRow,
  HELLO,
  jobRow,
  putAgent,
  putConfig,
  putJob,
  putTask,
  taskConfig,
  taskRow,
} from '../fixtures/rows.ts'

type Json = Record<string, never>
interface Operation {
  readonly parameters: readonly { $ref?: string; in?: string; name?: string }[]
  readonly responses: Record<string, { $ref?: string; content?: Record<string, { schema: Json }> }>
  readonly requestBody?: { readonly required: boolean }
}

const node = httpNode()
const app: FastifyInstance = node.app
let openapi: { paths: Record<string, Record<string, Operation>>; components: Record<string, Record<string, Json>> }

const ROUTES_HERE = ROUTES.filter(({ path }) => path.startsWith(API))
const PARTS: Readonly<Record<string, string>> = { ...HELLO, taskId: 'done', agentId: 'a' }
const TASK = taskConfig({ executor: { name: 'AuroraExecutor', data: '{}' } })
const JOB = { key: HELLO, owner: 'www-data', instanceCount: 1, task: TASK }
const QUOTA = { cpusMilli: 1, ramMb: 1, diskMb: 1 }
/** What is asked, by the end of a path. */
const BODIES: Readonly<Record<string, object>> = {
  '/jobs': { job: JOB },
  ':kill': { all: true },
  ':restart': { instances: [0] },
  ':add': { like: 0, count: 1 },
  ':diff': { job: JOB },
  ':set': QUOTA,
  ':increase': QUOTA,
  ':force-state': { status: 'LOST', reason: 'a test' },
  ':prune': { all: true, reason: 'a test' },
  ':release-held': { reason: 'a test' },
  ':stage': { name: 'b' },
  ':drop': { all: true },
  ':commit': { force: true },
}
const QUERIES: Readonly<Record<string, string>> = { '/search': '?q=hello', '/events': '?follow=false' }
/** Their engines are not part of this node; they refuse in the form that is documented. */
const ELSEWHERE = /backups|what-if|explain|logs|why|:force-state|:prune|admin:/

beforeAll(async () => {
  await app.ready()
  node.ledger.put(
    putConfig(configRow()),
    putJob(jobRow()),
    putAgent(agentRow('a')),
    putTask(taskRow('waiting')),
    putTask(taskRow('done', { instance: 1, status: 'FINISHED' })),
  )
  await node.system.settle()
  openapi = (await app.inject(`${API}/openapi.json`)).json()
})

const operationOf = (method: string, path: string): Operation | undefined =>
  openapi.paths[path.slice(API.length)]?.[method.toLowerCase()]

/** A schema of the document with all that it refers to, to check values by. */
function checkerOf(schema: Json): z.ZodType {
  const text = JSON.stringify({ ...schema, $defs: openapi.components.schemas })
  return z.fromJSONSchema(JSON.parse(text.replaceAll('#/components/schemas/', '#/$defs/')))
}

function schemaFor(operation: Operation, status: number): { media: string; schema: Json } | null {
  const found = operation.responses[status]
  const named = found?.$ref === undefined ? found : openapi.components.responses?.[found.$ref.split('/').at(-1) ?? '']
  const [content] = Object.entries((named as Operation['responses'][string] | undefined)?.content ?? {})
  return content === undefined ? null : { media: content[0], schema: content[1].schema }
}

describe('the document', () => {
  test('is OpenAPI 3.1 by the schema of the OpenAPI Initiative, and all its references lead somewhere', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(structuredClone(openapi))
    expect(errors ?? []).toEqual([])
    expect([valid, validator.version]).toEqual([true, '3.1'])
    for (const [, section = '', name = ''] of JSON.stringify(openapi).matchAll(
      /"\$ref":"#\/components\/(\w+)\/(\w+)"/g,
    ))
      expect(openapi.components[section]).toHaveProperty(name)
  })

  test('has every route of the table, and no other', () => {
    const documented = Object.entries(openapi.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map(method => `${method.toUpperCase()} ${API}${path}`),
    )
    expect(documented.sort()).toEqual(ROUTES_HERE.map(({ method, path }) => `${method} ${path}`).sort())
  })

  test('changes of jobs take a version, reads of one tell it; changes take a request id', () => {
    const refs = (method: string, path: string) =>
      operationOf(method, `${API}${path}`)?.parameters.flatMap(({ $ref }) => $ref?.split('/').at(-1) ?? []) ?? []
    const job = '/jobs/{role}/{environment}/{name}'
    for (const path of ['/jobs', `${job}:kill`, `${job}:restart`, `${job}:add`])
      expect(refs('POST', path)).toEqual(['CallId', 'User', 'RequestId', 'IfMatch'])
    expect(refs('GET', job)).toEqual(['CallId', 'IfNoneMatch'])
    expect(refs('POST', '/quotas/{role}:set')).toEqual(['CallId', 'User', 'RequestId'])
    expect(refs('POST', '/what-if')).toEqual(['CallId', 'User'])
    expect(Object.keys(operationOf('POST', `${API}${job}:kill`)?.responses ?? {})).toEqual([
      '200',
      '307',
      '400',
      '401',
      '403',
      '404',
      '409',
      '412',
      '413',
      '415',
      '422',
      '500',
      '503',
      'default',
    ])
  })

  test('a body may be left out exactly where an empty one is enough', () => {
    const isRequired = (path: string) => operationOf('POST', `${API}${path}`)?.requestBody?.required
    expect([isRequired('/backups'), isRequired('/what-if'), isRequired('/log:transfer')]).toEqual([false, false, false])
    expect([isRequired('/jobs'), isRequired('/quotas/{role}:set'), isRequired('/tasks:prune')]).toEqual([
      true,
      true,
      true,
    ])
  })
})

describe('what is documented is so', () => {
  test.each(ROUTES_HERE.map(({ method, path }) => [method, path] as const))('%s %s', async (method, path) => {
    const operation = operationOf(method, path)
    if (operation === undefined) throw new Error('it is not documented')
    const end = Object.keys(BODIES).find(key => path.endsWith(key))
    const query = Object.entries(QUERIES).find(([key]) => path.endsWith(key))?.[1] ?? ''
    const answered = app.inject({
      method,
      url: path.replace(/\{(\w+)\}/g, (_, name) => PARTS[name] ?? 'x') + query,
      ...(method === 'GET' ? {} : { payload: end === undefined ? {} : (BODIES[end] ?? {}) }),
    })
    // Answered by itself or by actors, whose turns come now.
    const response = await settled(answered)
    const { statusCode, headers } = response
    expect([404, 405, 500]).not.toContain(path.endsWith('logs') || path.endsWith('why') ? 0 : statusCode)
    if (!ELSEWHERE.test(path)) expect([200, 201]).toContain(statusCode)
    const expected = schemaFor(operation, statusCode)
    expect(expected, `${statusCode} is documented`).not.toBeNull()
    if (expected === null) return
    expect(headers['content-type']).toContain(expected.media)
    if (expected.media !== 'text/event-stream') checkerOf(expected.schema).parse(response.json())
  })

  test('a refusal of every route on a node that does not lead or has no engines fits as well', async () => {
    const bare = httpNode()
    Object.assign(bare.ledger, { open: false, refused: rejected('NOT_LEADER') })
    bare.set.leader = null
    for (const { method, path, by } of ROUTES_HERE) {
      if (by !== 'leader' || method !== 'GET') continue
      const query = Object.entries(QUERIES).find(([key]) => path.endsWith(key))?.[1] ?? ''
      const response = await bare.app.inject(path.replace(/\{\w+\}/g, 'x') + query)
      const expected = schemaFor(operationOf(method, path) as Operation, response.statusCode)
      expect([response.statusCode, headerOf(response.headers['retry-after']), expected?.media], path).toEqual([
        503,
        '1',
        'application/problem+json',
      ])
      checkerOf(expected?.schema as Json).parse(response.json())
    }
  })
})

/** Runs the actors of the node until the answer is there. */
async function settled<T>(answer: PromiseLike<T>): Promise<T> {
  let isThere = false
  const answered = Promise.resolve(answer).finally(() => {
    isThere = true
  })
  while (!isThere) {
    await app.inject('/leaderhealth')
    await node.system.settle()
  }
  return answered
}

const headerOf = (value: unknown): string => String(value)
