/**
 * The demo with several scheduler nodes: their config files in the demo's folder, their logs initialized, and who leads.
 * The nodes and the agent are started by `demo.ts`, as everything it has to end again.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import type { ClusterView } from '../src/wire/rest.ts'

const POLL_MS = 50

export interface ClusterFiles {
  /** Config files of the scheduler nodes, member 1 first. */
  readonly nodes: readonly string[]
  readonly agent: string
}

/** Writes the config files; every log is initialized as one member of one new cluster. */
export async function prepareCluster(main: string, data: string, count: number): Promise<ClusterFiles> {
  mkdirSync(data, { recursive: true })
  const ports = await freePorts(2 * count)
  const numbers = Array.from({ length: count }, (_, at) => at + 1)
  const members = numbers.map(
    id => `  - { id: ${id}, host: 127.0.0.1, port: ${ports[count + id - 1]}, name: node-${id} }\n`,
  )
  const nodes = numbers.map(id => {
    const path = join(data, `node-${id}.yaml`)
    writeFileSync(
      path,
      `roles: [scheduler]
node: { id: ${id}, name: node-${id} }
members:
${members.join('')}data: { dir: ${JSON.stringify(join(data, `node-${id}`))} }
http: { host: 127.0.0.1, port: ${ports[id - 1]} }
peer: { host: 127.0.0.1, port: ${ports[count + id - 1]} }
`,
    )
    return path
  })
  const agent = join(data, 'agent.yaml')
  const schedulers = numbers.map(id => `http://127.0.0.1:${ports[id - 1]}`)
  writeFileSync(
    agent,
    `roles: [agent]
data: { dir: ${JSON.stringify(join(data, 'agent'))} }
http: { host: 127.0.0.1, port: 0 }
agent: { schedulers: ${JSON.stringify(schedulers)}, userMode: shared }
`,
  )
  for (const [at, path] of nodes.entries()) {
    const genesis = at === 0 ? [] : ['--genesis', join(data, 'node-1', 'log', 'genesis.json')]
    await run(main, ['log', 'initialize', path, ...genesis])
  }
  return { nodes, agent }
}

/** The member that leads, once the node at one of `urls` says so; not `notId`. */
export async function leaderOf(
  urls: readonly string[],
  signal: AbortSignal,
  notId: number | null = null,
): Promise<{ readonly memberId: number; readonly url: string }> {
  for (;;) {
    for (const url of urls) {
      const view = await fetch(`${url}/api/v1/cluster`, { signal: AbortSignal.timeout(1_000) }).then(
        async response => (response.ok ? ((await response.json()) as ClusterView) : null),
        // Not up yet, or not any more: the next one is asked.
        () => null,
      )
      if (view?.leader != null && view.leader.httpUrl !== '' && view.leader.memberId !== notId) {
        return { memberId: view.leader.memberId, url: view.leader.httpUrl }
      }
    }
    signal.throwIfAborted()
    await new Promise(done => setTimeout(done, POLL_MS))
  }
}

async function run(main: string, args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')))
  const [code] = (await once(child, 'exit')) as [number | null]
  if (code !== 0) throw new Error(`daybreak ${args.join(' ')} ended with ${code}:\n${said}`)
}

/** All different; below the range from which the system takes ports for outgoing connections. */
async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

export async function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  try {
    probe.listen(port, '127.0.0.1')
    await once(probe, 'listening')
    return true
  } catch {
    return false
  } finally {
    probe.close()
  }
}
