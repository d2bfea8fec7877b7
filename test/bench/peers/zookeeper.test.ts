import { expect, test } from 'vitest'
import { readSrvr, zooConfig } from '../../../bench/peers/zookeeper.ts'

test('zoo.cfg of a node: documented times, a folder of its own for the log, and forceSync left at yes', () => {
  const ports = [1, 2, 3].map(at => ({ client: at, quorum: 10 + at, election: 20 + at }))
  const lines = zooConfig('/data', 2, ports).trimEnd().split('\n')
  expect(lines).toEqual([
    'tickTime=2000',
    'initLimit=10',
    'syncLimit=5',
    'dataDir=/data/node-3',
    'dataLogDir=/data/node-3-log',
    'clientPort=3',
    'clientPortAddress=127.0.0.1',
    'maxClientCnxns=0',
    'admin.enableServer=false',
    'autopurge.snapRetainCount=3',
    'autopurge.purgeInterval=1',
    'server.1=127.0.0.1:11:21',
    'server.2=127.0.0.1:12:22',
    'server.3=127.0.0.1:13:23',
  ])
})

test('srvr of a server in the quorum: its version and its part', () => {
  const text = `Zookeeper version: 3.8.0-${'0'.repeat(40)}, built on 2022-02-25
Latency min/avg/max: 0/0.0/0
Connections: 1
Zxid: 0x100000003
Mode: leader
Node count: 5
`
  expect(readSrvr(text)).toEqual({ version: '3.8.0', mode: 'leader' })
})

test('srvr of a server that has no quorum: it does not serve', () => {
  expect(readSrvr('This ZooKeeper instance is not currently serving requests\n')).toBeNull()
})
