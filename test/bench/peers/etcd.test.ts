import { describe, expect, test } from 'vitest'
import { etcdFlags } from '../../../bench/peers/etcd.ts'
import { loadToolArgs, readLoadTool } from '../../../bench/peers/etcd-load-tool.ts'
import { putRequest, readStatus } from '../../../bench/peers/etcd-wire.ts'

describe('messages of etcd', () => {
  test('a put: key and value with their lengths, the longer one in two bytes', () => {
    const bytes = putRequest('k1', new Uint8Array(256).fill(7))
    expect(bytes.subarray(0, 7).toString('hex')).toBe(`0a02${Buffer.from('k1').toString('hex')}128002`)
    expect(bytes.subarray(7)).toEqual(Buffer.alloc(256, 7))
  })

  // header { member_id: 300 }, version "3.7.3", leader 300, raftIndex 9, raftAppliedIndex 8
  const status = Buffer.from('0a0310ac02' + '1205332e372e33' + '20ac02' + '2809' + '3808', 'hex')

  test('a status: who answers, who leads, how far it is', () => {
    expect(readStatus(status)).toEqual({
      version: '3.7.3',
      memberId: 300n,
      leader: 300n,
      raftIndex: 9n,
      raftAppliedIndex: 8n,
    })
  })

  test('a status without a leader: the field is left out, which is 0', () => {
    expect(readStatus(Buffer.from('2809', 'hex')).leader).toBe(0n)
  })

  test('a status that is cut within a field is refused', () => {
    for (const size of [1, 4, 6, 11, 13, status.length - 1]) {
      expect(() => readStatus(status.subarray(0, size)), `${size} bytes`).toThrow('cut')
    }
  })
})

describe("etcd's own load tool", () => {
  const summary = `
 200 / 200 [======================] 100.00% 0s

Summary:
  Total:	0.436771602 secs.
  Slowest:	0.053635343 secs.
  Requests/sec:	457.9052280051852

Response time histogram:
  0.0035873 [1]	|

Latency distribution:
  10% in 0.005592871 secs.
  50% in 0.015542596 secs.
  95% in 0.035537312 secs.
  99% in 5.281851e-02 secs.
`

  test('its summary in our units', () => {
    expect(readLoadTool(summary, 200)).toEqual({
      perSecond: 457.9052280051852,
      p50Ms: expect.closeTo(15.54, 2),
      p99Ms: expect.closeTo(52.82, 2),
      writes: 200,
    })
  })

  test('a run with errors counts as lost, however fast it was', () => {
    const errors = `${summary}\nError distribution:\n  [3]	etcdserver: request timed out\n`
    expect(readLoadTool(errors, 200)).toBe("etcd's load tool had errors: [3]	etcdserver: request timed out")
  })

  test('a summary of another form is no figure', () => {
    expect(() => readLoadTool('Summary:\n  nothing\n', 200)).toThrow('cannot be read')
  })

  test('never more connections than writers, and a key for each writer', () => {
    const args = loadToolArgs({ addresses: ['a:1', 'b:2'], connections: 4, writers: 2, valueBytes: 256, total: 9 })
    expect(args).toEqual(expect.arrayContaining(['--endpoints=a:1,b:2', '--conns=2', '--clients=2', '--total=9']))
    expect(args).toEqual(expect.arrayContaining(['--key-space-size=2', '--val-size=256']))
  })
})

test('flags of a node of etcd: nothing that would make it less durable or its elections other than by default', () => {
  const flags = etcdFlags('/data', 1, [1, 2, 3], [4, 5, 6])
  expect(flags.join(' ')).not.toMatch(/unsafe|heartbeat|election|snapshot|backend/)
  expect(flags[flags.indexOf('--data-dir') + 1]).toBe('/data/node-2')
  expect(flags[flags.indexOf('--listen-client-urls') + 1]).toBe('http://127.0.0.1:2')
  expect(flags[flags.indexOf('--initial-cluster') + 1]).toBe(
    'node-1=http://127.0.0.1:4,node-2=http://127.0.0.1:5,node-3=http://127.0.0.1:6',
  )
})
