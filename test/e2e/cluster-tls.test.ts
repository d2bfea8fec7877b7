/** A running cluster of real processes is moved from speaking in clear to TLS, as the operating guide says. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EXIT } from '../../src/runtime/exit.ts'
import { type RealCluster, startRealCluster } from '../fixtures/real-cluster.ts'
import { daybreak, EndedEarly, eventually, temporaryFolder } from '../fixtures/real-node.ts'

const certificates = join(import.meta.dirname, '../fixtures/tls')
let folder: ReturnType<typeof temporaryFolder>
let cluster: RealCluster

beforeAll(async () => {
  folder = temporaryFolder()
  cluster = await startRealCluster(folder.path, 3)
})
afterAll(async () => {
  await cluster.end()
  folder.remove()
})

const stop = async (memberId: number): Promise<void> => {
  expect(await cluster.nodes[memberId - 1]!.stop()).toBe(0)
  cluster.nodes[memberId - 1] = null
}

test('one node after the other gets certificates: who is left out says why, one with a bad certificate does not start, at the end all speak TLS', {
  timeout: 120_000,
}, async () => {
  const clear = cluster.configs.map(path => readFileSync(path, 'utf8'))
  const giveCertificate = (memberId: number, name = `node-${memberId}`, key = name): void => {
    const tls = `tls: { certFile: ${certificates}/${name}.pem, keyFile: ${certificates}/${key}-key.pem, caFile: ${certificates}/ca.pem }`
    writeFileSync(cluster.configs[memberId - 1]!, clear[memberId - 1]!.replace('peer: {', `peer: { ${tls},`))
  }
  const leader = await cluster.leader()
  const [second, third] = [1, 2, 3].filter(id => id !== leader.memberId) as [number, number]

  giveCertificate(third, 'expired', 'node-3')
  await stop(third)
  const refused = await cluster.start(third).catch((cause: unknown) => cause)
  expect(refused).toMatchObject({ code: EXIT.config, said: expect.stringMatching(/peer\.tls\.certFile.*expired on/) })
  expect(refused).toBeInstanceOf(EndedEarly)
  // The log of a node can be looked at all the same.
  expect(await daybreak('', 'log', 'status', cluster.configs[third - 1]!)).toMatchObject({ status: 0 })

  giveCertificate(third)
  const apart = await cluster.start(third)
  const seen = (url: string, text: string) =>
    eventually(
      () => daybreak(url, 'cluster', 'status'),
      ({ stdout }) => stdout.replace(/\s+/g, ' ').includes(text),
    )
  await seen(leader.node.url, 'set peer.tls on this node and restart it')
  await seen(apart.url, 'it speaks without TLS')
  expect((await daybreak(apart.url, 'log', 'status')).stdout).toContain(
    `member ${second}      not connected: it speaks without TLS and this node with it: set peer.tls on that node`,
  )
  expect(await cluster.nodes[second - 1]!.get('/metrics')).toMatchObject({
    text: expect.stringMatching(/daybreak_log_handshake_refused\{code="TLS_ONE_SIDED"\} \d+/),
  })

  for (const memberId of [second, leader.memberId]) {
    giveCertificate(memberId)
    await stop(memberId)
    await cluster.start(memberId)
  }
  await cluster.leader()
  for (const node of cluster.nodes) {
    await eventually(
      () => node!.json<{ peers: readonly { connected: boolean; trouble: string | null }[] }>('/api/v1/log/status'),
      ({ peers }) => peers.length === 2 && peers.every(({ connected, trouble }) => connected && trouble === null),
    )
  }
})
