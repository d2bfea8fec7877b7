/** Security and TLS on real parts: a node that serves https to users it knows, its agent, and the client. */
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { fetchWithAccess } from '../../src/cli/access.ts'
import { drawToken, tokenHash } from '../../src/runtime/security/scrypt.ts'
import type { JobDetail } from '../../src/wire/rest.ts'
import {
  daybreak,
  EndedEarly,
  eventually,
  projectRoot,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

const pem = (name: string): string => join(projectRoot, 'test/fixtures/tls', `${name}.pem`)
const KEY = 'local/www-data/devel/hello'
const TOKENS = { root: drawToken(), web: drawToken(), nil: drawToken() }

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode | null = null
beforeEach(() => {
  folder = temporaryFolder()
})
afterEach(async () => {
  delete process.env.DAYBREAK_TOKEN
  delete process.env.DAYBREAK_CA
  await node?.crash()
  node = null
  for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
  await eventually(
    async () => taskProcesses(folder.path).length,
    left => left === 0,
  )
  folder.remove()
})

function securityFile(): string {
  const path = join(folder.path, 'security.yaml')
  const user = (name: keyof typeof TOKENS, permissions: string) =>
    `  ${name}: {tokens: ["${tokenHash(TOKENS[name])}"], permissions: [${permissions}]}\n`
  writeFileSync(
    path,
    `users:\n${user('root', '"*"')}${user('web', '"thrift.AuroraSchedulerManager:*:www-data"')}${user('nil', '')}`,
    { mode: 0o600 },
  )
  return path
}

/** One command of somebody. */
async function as(user: keyof typeof TOKENS | null, ...args: string[]) {
  if (user === null) delete process.env.DAYBREAK_TOKEN
  else process.env.DAYBREAK_TOKEN = TOKENS[user]
  return daybreak(node!.url, ...args)
}

test('https and users: who may runs a job by the embedded agent, who may not is told so, and /quitquitquit ends it in order', async () => {
  process.env.DAYBREAK_CA = pem('ca')
  const tls = [
    '--http.tls.certFile',
    pem('node-1'),
    '--http.tls.keyFile',
    pem('node-1-key'),
    '--http.tls.caFile',
    pem('ca'),
  ]
  const secret = join(folder.path, 'secret')
  writeFileSync(secret, 'sixteen letters!')
  const flags = ['--security.file', securityFile(), '--cluster.secretFile', secret, ...tls]
  node = await startRealNode(folder.path, { flags })
  expect(node.url).toMatch(/^https:/)

  const unknown = await as(null, 'job', 'create', KEY, 'examples/hello.yaml')
  expect(unknown).toMatchObject({ status: 30, stderr: expect.stringContaining('UNAUTHENTICATED') })
  const denied = await as('nil', 'job', 'create', KEY, 'examples/hello.yaml')
  expect(denied.status).toBe(30)
  expect(denied.stderr).toContain(
    'Subject nil is not permitted to thrift.AuroraSchedulerManager:createJob:www-data:devel:hello.',
  )
  const created = await as('web', 'job', 'create', KEY, 'examples/hello.yaml', '--wait')
  expect([created.status, created.stderr]).toEqual([0, expect.stringContaining('3/3 RUNNING')])
  expect((await as('web', 'cluster', 'status')).status).toBe(0)
  expect((await as('nil', 'inspect')).status).toBe(30)

  const killed = await as('web', 'job', 'kill', `${KEY}/0`)
  expect(killed.status).toBe(0)
  const { text } = await fetchWithAccess(`${node.url}/api/v1/jobs/www-data/devel/hello`).then(async answer => ({
    text: await answer.text(),
  }))
  const detail = JSON.parse(text) as JobDetail
  expect(JSON.stringify(detail)).toContain('Killed by web')
  expect(node.output()).toMatch(/audit user=web from=127\.0\.0\.1:\d+ what=.*jobs\/www-data\/devel\/hello:kill/)

  const quit = async () => (await fetchWithAccess(`${node!.url}/quitquitquit`, { method: 'POST' })).status
  expect(await quit()).toBe(403)
  process.env.DAYBREAK_TOKEN = TOKENS.root
  const ended = once(node.child, 'exit')
  expect(await quit()).toBe(200)
  expect(await ended).toEqual([0, null])
}, 60_000)

test('security off on loopback: everything as before, and /abortabortabort ends the process with 76', async () => {
  node = await startRealNode(folder.path)
  const ended = once(node.child, 'exit')
  await fetch(`${node.url}/abortabortabort`, { method: 'POST' })
  expect(await ended).toEqual([76, null])
}, 60_000)

test('beyond loopback without security.file: the node refuses to start, and says what to set', async () => {
  const secret = join(folder.path, 'secret')
  writeFileSync(secret, 'sixteen letters!')
  const start = startRealNode(folder.path, { flags: ['--http.host', '0.0.0.0', '--cluster.secretFile', secret] })
  const early = await start.catch(cause => cause as EndedEarly)
  expect(early).toBeInstanceOf(EndedEarly)
  expect((early as EndedEarly).code).toBe(78)
  expect((early as EndedEarly).said).toContain('nothing says who may do what: set security.file')
}, 60_000)
