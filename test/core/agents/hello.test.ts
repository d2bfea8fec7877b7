import { describe, expect, test } from 'vitest'
import { type Description, type Expectation, type Introduction, refusalOf } from '../../../src/core/agents/hello.ts'

const ours: Expectation = { proof: 'right', protoMin: 2, protoMax: 3, clusterId: 'c1' }
const attributes = [{ name: 'rack', values: ['r1'] }]
const codeOf = (more: Partial<Introduction & Description>) =>
  refusalOf({ ...ours, attributes, ...more }, ours)?.code ?? null

describe('a HELLO is judged', () => {
  test.each<[string, Partial<Introduction & Description>, string | null]>([
    ['all as it should be: let in', {}, null],
    ['it has never belonged to a cluster: let in', { clusterId: null }, null],
    ['its newest version is our oldest: let in', { protoMin: 1, protoMax: 2 }, null],
    ['its oldest version is our newest: let in', { protoMin: 3, protoMax: 9 }, null],
    ['too old: refused', { protoMin: 1, protoMax: 1 }, 'version'],
    ['too new: refused', { protoMin: 4, protoMax: 5 }, 'version'],
    ["another cluster's: refused", { clusterId: 'c2' }, 'deactivated'],
    ['no proof: refused', { proof: '' }, 'auth'],
    ['a proof that only begins right: refused', { proof: 'righ' }, 'auth'],
    ['a proof that goes on: refused', { proof: 'right!' }, 'auth'],
    ['an attribute without a value: refused', { attributes: [{ name: 'rack', values: [] }] }, 'attributes'],
    ['no attributes at all: let in', { attributes: [] }, null],
    ['all of it wrong: refused for its proof', { proof: 'wrong', protoMin: 9, protoMax: 9, clusterId: 'c2' }, 'auth'],
  ])('%s', (_, more, code) => expect(codeOf(more)).toBe(code))

  test('a wrong proof: the stranger is not told which part was wrong, our log is', () => {
    expect(refusalOf({ ...ours, attributes, proof: 'x', clusterId: 'c2' }, ours)).toEqual({
      code: 'auth',
      text: 'authentication failed',
      because: 'its proof is wrong',
    })
  })
})
