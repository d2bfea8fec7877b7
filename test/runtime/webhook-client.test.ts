import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readConfig } from '../../src/runtime/config-read.ts'
import { webhookClient } from '../../src/runtime/webhook-client.ts'
import { readWebhookFiles } from '../../src/runtime/webhook-files.ts'

const SECRET = 'a secret of the tests'
let folder = ''
let server: Server
let url = ''
const received: { headers: IncomingHttpHeaders; body: string }[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'webhook-'))
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', chunk => chunks.push(chunk as Buffer))
    request.on('end', () => {
      received.push({ headers: request.headers, body: Buffer.concat(chunks).toString() })
      response.writeHead(202).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
  rmSync(folder, { recursive: true })
})

const file = (name: string, text: string): string => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

describe('posts of the webhook', () => {
  test('secret and headers in files: a post carries the headers, and a signature of its time, its id and its body', async () => {
    const headersFile = file('headers', '# of the gateway\nAuthorization: Bearer abc:def\n\nX-Team: night\n')
    const read = readWebhookFiles({ secretFile: file('secret', `${SECRET}\n`), headersFile })
    if (!read.ok) throw new Error(read.text)
    const client = webhookClient({ url, timeoutMs: 5_000, credentials: read.credentials })
    expect(await client.post({ id: '7-1', timestampMs: 1_234, body: '{"ä":1}' })).toMatchObject({
      ok: true,
      status: 202,
    })
    const { headers, body } = received.at(-1)!
    expect(headers).toMatchObject({ authorization: 'Bearer abc:def', 'x-team': 'night', timestamp: '1234' })
    const signed = `${headers.timestamp}.${headers['idempotency-key']}.${body}`
    const expected = createHmac('sha256', SECRET).update(signed).digest('hex')
    expect(headers['daybreak-signature']).toBe(`sha256=${expected}`)
  })

  test('no secret: no signature', async () => {
    const client = webhookClient({ url, timeoutMs: 5_000, credentials: { secret: null, headers: {} } })
    await client.post({ id: '7-2', timestampMs: 1, body: '{}' })
    expect(received.at(-1)!.headers).not.toHaveProperty('daybreak-signature')
  })
})

describe('files of the webhook', () => {
  const faultsOf = (more: string): string => {
    const loaded = readConfig(`scheduler:\n  webhook: {url: "http://127.0.0.1:1/", ${more}}`)
    return loaded.ok ? '' : loaded.faults.map(({ path, text }) => `${path}: ${text}`).join('\n')
  }

  test.each([
    ['without a colon', 'hunter2 hunter2', 'line 1 of'],
    ['whose value has a control character', 'x-a: hunter2\u0001', 'must be a header such as'],
    ['that a post sets itself', 'X-A: b\nTimestamp: 1', 'sets timestamp, which every post sets itself'],
    ['twice', 'X-A: hunter2\nx-a: hunter2', 'line 2 of'],
  ])('a header %s: the start is refused, and the value is not told', (_what, text, fault) => {
    const told = faultsOf(`headersFile: ${file('bad', text)}`)
    expect(told).toContain('scheduler.webhook.headersFile: ')
    expect(told).toContain(fault)
    expect(told).not.toContain('hunter2')
  })

  test('a short secret, a file that is not there, an unknown status: the start is refused', () => {
    expect(faultsOf(`secretFile: ${file('short', 'short')}`)).toContain('is shorter than 16 characters')
    expect(faultsOf('secretFile: /nowhere/secret')).toContain('webhook.secretFile: cannot be read: ENOENT')
    expect(faultsOf('statuses: [LOST, GONE]')).toContain('must be statuses of tasks, such as LOST')
  })
})
