import { describe, expect, test } from 'vitest'
import { type Judgement, judgePeer, mergeRecords, type PeerFacts } from '../../../src/core/log/handshake.ts'
import { descriptorOf } from './log-cluster.ts'

const descriptor = descriptorOf(3)
const members = descriptor.members.map(({ memberId, name, address }) => ({ memberId, name, address }))

function facts(memberId: number, change: Partial<PeerFacts> = {}): PeerFacts {
  return {
    protocolMin: 1,
    protocolMax: 1,
    formatVersion: 1,
    memberId,
    name: `node-${memberId}`,
    httpUrl: `http://10.0.0.${memberId}:8081`,
    clusterId: 'c1',
    genesisHash: 'g1',
    genesisMembers: members,
    configVersion: 0,
    configHash: 'h1',
    descriptor,
    incarnation: `disk-${memberId}`,
    bootCounter: 3,
    status: 'VOTING',
    begin: 1,
    commit: 10,
    end: 12,
    promised: [4, 1],
    ...change,
  }
}
const judge = (own: Partial<PeerFacts>, peer: Partial<PeerFacts>, more: Partial<Judgement> = {}) =>
  judgePeer({ own: facts(1, own), peer: facts(2, peer), proven: true, record: null, ...more })

const list = '[1 node-1 10.0.0.1:8083, 2 node-2 10.0.0.2:8083, 3 node-3 10.0.0.3:8083]'
const shorter = members.slice(0, 1)

describe('what a member is refused for', () => {
  test.each<[string, Partial<PeerFacts>, Partial<PeerFacts>, Partial<Judgement>, string, string]>([
    ['no proof', {}, { clusterId: 'other' }, { proven: false }, 'AUTH', 'authentication failed'],
    [
      'no common protocol',
      {},
      { protocolMin: 2, protocolMax: 3 },
      {},
      'VERSION',
      'peer node-2 speaks log protocol 2-3, this node 1-1',
    ],
    ['a format of the future', {}, { formatVersion: 2 }, {}, 'VERSION', 'peer node-2 has log format 2, this node 1'],
    [
      'another cluster',
      {},
      { clusterId: 'c2', genesisHash: 'g2' },
      {},
      'CLUSTER_ID',
      'peer node-2 belongs to cluster c2, this node to c1; refusing to exchange log data',
    ],
    [
      'another genesis',
      {},
      { genesisHash: 'g2', genesisMembers: shorter },
      {},
      'GENESIS',
      `cluster c1 was initialized twice with different member lists: here ${list}, peer [1 node-1 10.0.0.1:8083]`,
    ],
    [
      'two empty members that list differently',
      { clusterId: null, genesisHash: null, descriptor: null, configHash: null, incarnation: null, status: 'EMPTY' },
      { clusterId: null, genesisHash: null, descriptor: null, configHash: null, genesisMembers: shorter },
      {},
      'GENESIS',
      `this cluster was listed twice with different member lists: here ${list}, peer [1 node-1 10.0.0.1:8083]`,
    ],
    [
      'another list at the same version',
      {},
      { configHash: 'h2', descriptor: { ...descriptor, quorum: 1, members: descriptor.members.slice(0, 1) } },
      {},
      'CONFIG_CONFLICT',
      'member list for config 0 differs: here [1 node-1 10.0.0.1:8083 disk-1, 2 node-2 10.0.0.2:8083 disk-2, ' +
        '3 node-3 10.0.0.3:8083 disk-3] quorum 2, peer [1 node-1 10.0.0.1:8083 disk-1] quorum 1',
    ],
    [
      'the own id',
      {},
      { memberId: 1 },
      {},
      'UNKNOWN_MEMBER',
      'member 1 is this node itself: give every node an id of its own',
    ],
    [
      'another one at an address',
      {},
      {},
      { expectedId: 3 },
      'UNKNOWN_MEMBER',
      'member 3 is listed at this address, but member 2 answers there',
    ],
    ['a removed one', {}, {}, { removed: new Map([[2, 41]]) }, 'NOT_MEMBER', 'member 2 was removed at position 41'],
    [
      'one that was never listed',
      {},
      { memberId: 9 },
      {},
      'UNKNOWN_MEMBER',
      'member 9 is not in the member list of cluster c1; add it first',
    ],
    [
      'a new disk',
      {},
      { incarnation: 'disk-x' },
      {},
      'INCARNATION',
      'member 2 returned with a new disk (incarnation disk-x, expected disk-2)',
    ],
    [
      'no disk at all, once the cluster has begun',
      {},
      { incarnation: null, status: 'EMPTY', descriptor: null, configHash: null },
      {},
      'INCARNATION',
      'member 2 returned with a new disk (incarnation none, expected disk-2)',
    ],
    [
      'fewer starts than it has shown',
      {},
      {},
      { record: { bootCounter: 4, promised: [0, 0], committed: 0 } },
      'ROLLED_BACK',
      'member 2 returned with an older copy of its disk',
    ],
    [
      'a lower promise than it has shown',
      {},
      {},
      { record: { bootCounter: 1, promised: [4, 2], committed: 0 } },
      'ROLLED_BACK',
      'member 2 returned with an older copy of its disk',
    ],
    [
      'less than it has acknowledged',
      {},
      {},
      { record: { bootCounter: 1, promised: [1, 1], committed: 13 } },
      'ROLLED_BACK',
      'member 2 returned with an older copy of its disk',
    ],
  ])('%s', (_what, own, peer, more, code, text) => {
    expect(judge(own, peer, more)).toEqual({ code, text })
  })

  test('several at once: the first check that fails is the one told', () => {
    const all = {
      protocolMin: 9,
      protocolMax: 9,
      clusterId: 'c2',
      genesisHash: 'g2',
      configHash: 'h2',
      incarnation: 'x',
    }
    const codes: (string | undefined)[] = []
    const peer: Partial<PeerFacts> = { ...all }
    codes.push(judge({}, peer, { proven: false })?.code)
    for (const key of ['protocolMin', 'clusterId', 'genesisHash', 'configHash', 'incarnation'] as const) {
      codes.push(judge({}, peer)?.code)
      Object.assign(peer, key === 'protocolMin' ? { protocolMin: 1, protocolMax: 1 } : { [key]: facts(2)[key] })
    }
    codes.push(judge({}, peer)?.code)
    expect(codes).toEqual(['AUTH', 'VERSION', 'CLUSTER_ID', 'GENESIS', 'CONFIG_CONFLICT', 'INCARNATION', undefined])
  })
})

describe('what a member is not refused for', () => {
  test.each<[string, Partial<PeerFacts>, Partial<PeerFacts>, Partial<Judgement>]>([
    ['being as it was', {}, {}, { record: { bootCounter: 3, promised: [4, 1], committed: 12 } }],
    ['a newer list, which this node does not have yet', {}, { configVersion: 7, configHash: 'h7', memberId: 9 }, {}],
    ['an older list', { configVersion: 7, configHash: 'h7' }, {}, {}],
    [
      'being STARTING like this node',
      { status: 'STARTING', descriptor: null, configHash: null },
      { status: 'STARTING', descriptor: null, configHash: null, incarnation: 'disk-new' },
      {},
    ],
    [
      'being EMPTY before the first start, its cluster id not known to it',
      { status: 'STARTING', descriptor: null, configHash: null },
      { status: 'EMPTY', descriptor: null, configHash: null, incarnation: null, clusterId: null, genesisHash: null },
      {},
    ],
    ['a wider range of protocols', {}, { protocolMin: 0, protocolMax: 5 }, {}],
  ])('%s', (_what, own, peer, more) => {
    expect(judge(own, peer, more)).toBeNull()
  })
})

test('what disks have shown: the higher in everything is kept', () => {
  const known = { bootCounter: 3, promised: [4, 1] as const, committed: 9 }
  expect(mergeRecords(known, { bootCounter: 2, promised: [5, 0], committed: 4 })).toEqual({
    bootCounter: 3,
    promised: [5, 0],
    committed: 9,
  })
  expect(mergeRecords(null, known)).toBe(known)
})
