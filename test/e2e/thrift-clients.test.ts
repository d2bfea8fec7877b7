/** Clients made by the Thrift compiler from our IDL file, in two languages and both encodings, against a real node. */
import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  daybreak,
  eventually,
  projectRoot,
  type RealNode,
  startRealNode,
  taskProcesses,
  temporaryFolder,
} from '../fixtures/real-node.ts'

const run = promisify(execFile)
const clients = join(projectRoot, 'test', 'e2e', 'thrift-clients')
const PYTHON = '/usr/bin/python3'

function answers(command: string, ...args: string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}
const hasCompiler = answers('thrift', '--version')
const hasPython = answers(PYTHON, '-c', 'import thrift')
const MISSING =
  'needs the packages thrift-compiler and python3-thrift of Debian: apt-get install thrift-compiler python3-thrift'

let folder: ReturnType<typeof temporaryFolder>
let node: RealNode

const DATA = JSON.stringify({
  role: 'www-data',
  environment: 'devel',
  name: 'generated',
  task: {
    name: 'sleeper',
    processes: [{ name: 'sleeper', cmdline: 'exec sleep 1000' }],
    resources: { cpu: 0.1, ram: 33554432, disk: 33554432 },
  },
})

describe.skipIf(!hasCompiler)('made by the Thrift compiler', () => {
  beforeAll(async () => {
    folder = temporaryFolder()
    const idl = join(projectRoot, 'docs', 'api', 'daybreak.thrift')
    for (const language of ['py', 'js:node,es6']) await run('thrift', ['--gen', language, '-o', folder.path, idl])
    node = await startRealNode(join(folder.path, 'data'))
    const quota = await daybreak(node.url, 'quota', 'set', 'local/www-data', '4', '4GB', '8GB')
    expect(quota.status, quota.stdout + quota.stderr).toBe(0)
  }, 60_000)

  afterAll(async () => {
    await node?.crash()
    for (const { pid } of taskProcesses(folder.path)) process.kill(pid, 'SIGKILL')
    await eventually(
      async () => taskProcesses(folder.path).length,
      left => left === 0,
    )
    folder.remove()
  })

  const drive = async (language: 'py' | 'js', protocol: 'json' | 'binary'): Promise<unknown[]> => {
    const [command, program, generated] =
      language === 'py' ? [PYTHON, 'client.py', 'gen-py'] : [process.execPath, 'client.cjs', 'gen-nodejs']
    const { stdout } = await run(
      command,
      [join(clients, program), join(folder.path, generated), node.url, protocol, DATA],
      { env: { ...process.env, NODE_PATH: join(projectRoot, 'node_modules') }, timeout: 60_000 },
    )
    return stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as unknown)
  }

  const EXPECTED = [
    { step: 'create', code: 'OK' },
    { step: 'status', instances: [0, 1] },
    { step: 'again', code: 'INVALID_REQUEST' },
    { step: 'add', code: 'OK' },
    { step: 'added', instances: [0, 1, 2] },
    { step: 'restart', code: 'OK' },
    { step: 'restarted', others: true },
    { step: 'kill', code: 'OK' },
    { step: 'killed', instances: [0, 1] },
    { step: 'killall', code: 'OK' },
    { step: 'nowhere', code: 'OK' },
    { step: 'pending', reasons: ['Constraint not satisfied: zone'] },
    { step: 'quota', limits: [4] },
  ]

  test.each(['json', 'binary'] as const)(
    'JavaScript, %s: create, status, add, restart, kill, pending reasons, quota',
    async protocol => {
      expect(await drive('js', protocol)).toEqual(EXPECTED)
    },
    90_000,
  )

  test.skipIf(!hasPython).each(['json', 'binary'] as const)(
    'Python, %s: create, status, add, restart, kill, pending reasons, quota',
    async protocol => {
      expect(await drive('py', protocol)).toEqual(EXPECTED)
    },
    90_000,
  )
})

test.runIf(!hasCompiler || !hasPython)('clients of the Thrift compiler were left out', () => {
  console.warn(`left out: ${MISSING}`)
})
