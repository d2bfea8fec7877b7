import { connect } from 'node:net'
import { afterEach, describe, expect, test } from 'vitest'
import { API, ROUTES } from '../../src/runtime/http/routes.ts'
import { type HttpServer, startHttpServer } from '../../src/runtime/http-server.ts'
import * as rest from '../../src/wire/rest.ts'
import { httpNode } from '../fixtures/http-node.ts'

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

describe('nobody serves it', () => {
  const paths = [...new Set(ROUTES.map(({ path }) => path).filter(path => path.startsWith(API)))]

  test.each(paths)('PATCH %s: 405 with the methods there are', async path => {
    const { app } = httpNode()
    const methods = ROUTES.filter(route => route.path === path).flatMap(({ method }) => {
      return method === 'GET' ? ['GET', 'HEAD'] : [method]
    })
    const response = await app.inject({ method: 'PATCH', url: path.replace(/\{\w+\}/g, 'x') })
    expect([response.statusCode, response.headers.allow]).toEqual([405, methods.join(', ')])
    expect(rest.problem.parse(response.json())).toMatchObject({ code: 'MALFORMED', status: 405 })
  })

  test.each(['/api/v1', '/api/v1/nothing', '/api/v1/jobs/a', '/api/v1/jobs/a/b/c/d', '/api/v1/tasks/x/nothing'])(
    'GET %s: 404 that names what is nearby',
    async url => {
      const { app } = httpNode()
      const response = await app.inject(url)
      expect([response.statusCode, response.headers['content-type']]).toEqual([404, 'application/problem+json'])
      expect(rest.problem.parse(response.json()).remedy).toContain('/api/v1')
    },
  )

  test('a path that cannot be decoded: 400 with what to do', async () => {
    const { app } = httpNode()
    const response = await app.inject('/api/v1/jobs/a/b/%zz')
    expect([response.statusCode, response.headers['content-type']]).toEqual([400, 'application/problem+json'])
    expect(rest.problem.parse(response.json()).remedy).toBe('encode % in paths as %25')
  })
})

describe('a body that cannot be read', () => {
  const bodies = ROUTES.filter(({ method, path }) => method === 'POST' && path.startsWith(API))

  test.each(bodies.map(({ path }) => path))('POST %s: 400 with the place, 415, 413', async path => {
    const { app } = httpNode()
    const url = path.replace(/\{\w+\}/g, 'x')
    const post = async (type: string, payload: string) => {
      const response = await app.inject({ method: 'POST', url, headers: { 'content-type': type }, payload })
      expect(response.headers['content-type']).toBe('application/problem+json')
      return rest.problem.parse(response.json())
    }
    expect(await post('application/json', '{"a":\n1,}')).toMatchObject({
      status: 400,
      code: 'MALFORMED',
      detail: expect.stringContaining('line 2, column 3'),
    })
    expect(await post('text/yaml', 'a: 1')).toMatchObject({
      status: 415,
      detail: expect.stringContaining('send application/json'),
    })
    expect(await post('application/json', ' '.repeat(4 * 1024 * 1024 + 1))).toMatchObject({
      status: 413,
      detail: 'The body is larger than 4194304 bytes',
    })
  })
})

describe('what is no HTTP', () => {
  test.each([
    ['HELLO\r\n\r\n', 400, 'The request is not HTTP/1.1'],
    [`GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`, 431, 'The headers of the request are too large'],
  ])('%#: a problem document, and the connection ends', async (sent, status, detail) => {
    const { deps } = httpNode()
    const server = await startHttpServer({ ...deps, host: '127.0.0.1', port: 0 })
    servers.push(server)
    const text = await new Promise<string>((resolve, reject) => {
      let got = ''
      const socket = connect(server.port, '127.0.0.1', () => socket.write(sent))
      socket.on('data', chunk => {
        got += String(chunk)
      })
      socket.on('close', () => resolve(got))
      socket.on('error', reject)
    })
    const [head = '', body = ''] = text.split('\r\n\r\n')
    expect(head).toContain(`HTTP/1.1 ${status} `)
    expect(head).toContain('content-type: application/problem+json')
    const problem = rest.problem.parse(JSON.parse(body))
    expect(problem).toMatchObject({ status, detail, code: 'MALFORMED' })
    expect(head).toContain(`x-request-id: ${problem.callId}`)
  })
})
