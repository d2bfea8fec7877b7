import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { peerFigures, startLogPeers } from '../../../bench/log/peers.ts'
import { closedLoop } from '../../../bench/peers/closed-loop.ts'
import { firstAccepted } from '../../../bench/peers/failover.ts'
import { PeerProcess } from '../../../bench/peers/process.ts'

const round = (perSecond: number, p99Ms: number) => ({
  perSecond,
  p99Ms,
  p50Ms: 1,
  writes: 10,
  nodeMicrosPerAppend: 100,
})

test('ratios are of the two rounds of one turn, and only those that were promised have a target', () => {
  const own = [round(100, 10), round(900, 10), round(400, 30)]
  const theirs = [round(10, 20), round(100, 20), round(80, 20)]
  const figures = peerFigures('etcd', 1_000, own, theirs)
  const by = (name: string) => figures.find(one => one.name === name)!
  expect(by('ratio-appends-etcd-1000').values).toEqual([10, 9, 5])
  expect(by('ratio-appends-etcd-1000')).toMatchObject({ target: 10, median: 9, met: false })
  expect(by('ratio-p99-etcd-1000').values).toEqual([0.5, 0.5, 1.5])
  expect(by('ratio-p99-etcd-1000').target).toBeUndefined()
  expect(peerFigures('etcd', 64, own, theirs).find(one => one.name === 'ratio-p99-etcd-64')!.target).toBe(1)
})

test('peers that were not asked for are neither started nor reported', async () => {
  expect(await startLogPeers('/nowhere', { peers: ['slurm'], say: () => {} })).toEqual({ started: [], missing: [] })
})

test('a writer whose write fails: the round is lost once all that is out is back', async () => {
  let answered = 0
  const result = await closedLoop(3, 1_000, (writer, done) => {
    setImmediate(() => {
      answered++
      done(writer === 1 ? 'refused' : null)
    })
  })
  expect(result).toEqual({ lost: 'refused' })
  expect(answered).toBeGreaterThanOrEqual(3)
})

test('no time is left: each writer writes once, and each is counted', async () => {
  const result = await closedLoop(5, 0, (_writer, done) => setImmediate(() => done(null)))
  expect(result).toMatchObject({ lost: null, tookMs: { length: 5 } })
})

test('one node hangs and the other refuses at first: the write counts when that one takes it', async () => {
  let refusals = 2
  const hangs = { write: () => new Promise<boolean>(() => {}) }
  const refuses = { write: async () => refusals-- <= 0 }
  await firstAccepted([hangs, refuses])
  expect(refusals).toBe(-1)
})

test('a process of a peer that has ended: it is gone, and its last words are kept', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-test-peers-'))
  try {
    const logFile = join(folder, 'log')
    const args = ['-c', 'echo no disk; exit 3']
    const peer = new PeerProcess({ title: 'node 1', command: '/bin/sh', args, cwd: folder, logFile })
    await peer.ended
    await peer.stop()
    expect(peer.hasEnded).toBe(true)
    expect(peer.cpuTicks()).toBe(0)
    expect(peer.tail()).toMatch(/^node 1 has ended; its last words:\nno disk$/)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
