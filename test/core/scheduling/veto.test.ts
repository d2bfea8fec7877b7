import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Constraint } from '../../../src/core/job/task-config.ts'
import type { HostMode } from '../../../src/core/ledger/rows.ts'
import { NEED_KINDS, type Needs, needsOf, timesFitting } from '../../../src/core/offers/needs.ts'
import { attributeSet, isValueSatisfied } from '../../../src/core/scheduling/constraints.ts'
import { gangVeto, type HostFacts, shortageScore, vetoes } from '../../../src/core/scheduling/veto.ts'
import { taskConfig } from '../../fixtures/rows.ts'

const room: Needs = { cpusMilli: 4000, ramMb: 8192, diskMb: 65_536, ports: 100, gpus: 0 }
const small: Needs = { cpusMilli: 100, ramMb: 64, diskMb: 64, ports: 0, gpus: 0 }
const value = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: false, values },
})
const negated = (name: string, ...values: string[]): Constraint => ({
  name,
  rule: { type: 'value', negated: true, values },
})
const limit = (name: string, count: number): Constraint => ({ name, rule: { type: 'limit', limit: count } })

function host(
  attributes: Readonly<Record<string, readonly string[]>> = {},
  more: { mode?: HostMode; free?: Partial<Needs> } = {},
): HostFacts {
  return {
    mode: more.mode ?? 'NONE',
    attributes: attributeSet(Object.entries(attributes).map(([name, values]) => ({ name, values }))),
    free: { ...room, ...more.free },
  }
}

function textsOf(
  on: HostFacts,
  constraints: readonly Constraint[],
  { needs = small, counts = {} as Readonly<Record<string, number>> } = {},
): readonly string[] {
  const countOf = (name: string, text: string) => counts[`${name}=${text}`] ?? 0
  return vetoes(on, { needs, constraints, countOf }).map(veto => veto.text)
}

describe('resources', () => {
  test('a request equal to what is free in every type passes; one unit more of three types gives exactly those three', () => {
    const all = { ...room, gpus: 2 }
    expect(textsOf(host({}, { free: all }), [], { needs: all })).toEqual([])
    const more = { ...all, cpusMilli: all.cpusMilli + 1, ramMb: all.ramMb + 1, diskMb: all.diskMb + 1 }
    expect(textsOf(host({}, { free: all }), [], { needs: more })).toEqual([
      'Insufficient: CPU',
      'Insufficient: RAM',
      'Insufficient: disk',
    ])
  })

  test('2 free ports, 3 named ones: ports are short', () => {
    const needs = { ...small, ports: 3 }
    expect(textsOf(host({}, { free: { ports: 2 } }), [], { needs })).toEqual(['Insufficient: ports'])
    expect(textsOf(host({}, { free: { ports: 3 } }), [], { needs })).toEqual([])
  })

  test('a type that is not asked for does not matter, even overcommitted', () => {
    expect(textsOf(host({}, { free: { gpus: -1, ports: -3 } }), [])).toEqual([])
  })

  test('a task of 4 cores and an executor of 0.25 on 4 cores: CPU is short', () => {
    const config = taskConfig({ resources: { cpusMilli: 4000, ramMb: 64, diskMb: 64, gpus: 0 }, ports: [] })
    const heavy = { cpusMilli: 250, ramMb: 128, diskMb: 0, gpus: 0 }
    expect(textsOf(host(), [], { needs: needsOf(config, heavy) })).toEqual(['Insufficient: CPU'])
    const none = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }
    expect(textsOf(host(), [], { needs: needsOf(config, none) })).toEqual([])
  })

  test('scores are Aurora’s integer divisions', () => {
    const [cpu, ram, disk, ports, gpu] = NEED_KINDS
    expect(shortageScore(cpu!, 1000)).toBe(62)
    expect(shortageScore(cpu!, 160_000)).toBe(1000)
    expect(shortageScore(ram!, 2)).toBe(0)
    expect(shortageScore(ram!, 24_576)).toBe(1000)
    expect(shortageScore(disk!, 46_080)).toBe(100)
    expect(shortageScore(ports!, 3)).toBe(3)
    expect(shortageScore(gpu!, 1)).toBe(250)
  })
})

describe('classes, strongest first', () => {
  test('a dedicated, draining, full host meets a task that did not ask for it: only the first is told', () => {
    const worst = host({ dedicated: ['ads'] }, { mode: 'DRAINING', free: { cpusMilli: 0 } })
    expect(textsOf(worst, [value('rack', 'a')])).toEqual(['Host is dedicated'])
  })

  test.each<[string, HostFacts, readonly Constraint[], string]>([
    [
      'draining',
      host({}, { mode: 'DRAINING', free: { ramMb: 0 } }),
      [value('rack', 'a')],
      'Host draining for maintenance',
    ],
    ['drained', host({}, { mode: 'DRAINED' }), [], 'Host drained for maintenance'],
    [
      'a constraint before resources',
      host({}, { free: { ramMb: 0 } }),
      [value('rack', 'a')],
      'Constraint not satisfied: rack',
    ],
    ['dedicated task on an ordinary host', host(), [value('dedicated', 'ads')], 'Constraint not satisfied: dedicated'],
    [
      'value constraints before limits',
      host({ b: ['1'] }),
      [limit('a', 1), value('b', '2')],
      'Constraint not satisfied: b',
    ],
  ])('%s', (_name, on, constraints, text) => {
    expect(textsOf(on, constraints)).toEqual([text])
  })

  test('a host put to SCHEDULED is no obstacle', () => {
    expect(textsOf(host({}, { mode: 'SCHEDULED' }), [])).toEqual([])
  })

  test('what follows from the machine alone is static; limits and shortages are not', () => {
    const isStatic = (on: HostFacts, constraints: readonly Constraint[], needs = small) =>
      vetoes(on, { needs, constraints, countOf: () => 5 }).map(veto => veto.isStatic)
    expect(isStatic(host({ dedicated: [] }), [])).toEqual([true])
    expect(isStatic(host({}, { mode: 'DRAINED' }), [])).toEqual([true])
    expect(isStatic(host(), [limit('rack', 9)])).toEqual([true])
    expect(isStatic(host({ rack: ['a'] }), [limit('rack', 5)])).toEqual([false])
    expect(isStatic(host(), [], { ...small, gpus: 1 })).toEqual([false])
  })
})

describe('constraints', () => {
  test.each<[string, Constraint, boolean]>([
    ['one of its values', value('jvm', '1.0'), true],
    ['a value it has not', value('jvm', '3.0'), false],
    ['negated, a value it has not', negated('jvm', '3.0'), true],
    ['negated, one it has among others', negated('jvm', '2.0', '9'), false],
    ['absent attribute, value', value('xxx', 'a'), false],
    ['absent attribute, negated', negated('xxx', 'a'), true],
  ])('host with jvm 1.0 and 2.0: %s', (_name, constraint, passes) => {
    const texts = textsOf(host({ jvm: ['1.0', '2.0'] }), [constraint])
    expect(texts).toEqual(passes ? [] : [`Constraint not satisfied: ${constraint.name}`])
  })

  test('absent attribute, limit: the constraint cannot be met there', () => {
    expect(textsOf(host(), [limit('xxx', 4)])).toEqual(['Constraint not satisfied: xxx'])
  })

  test('an attribute without values counts as absent', () => {
    const on = host({ rack: [] })
    expect(textsOf(on, [limit('rack', 1)])).toEqual(['Constraint not satisfied: rack'])
    expect(textsOf(on, [value('rack', 'a')])).toEqual(['Constraint not satisfied: rack'])
    expect(textsOf(on, [negated('rack', 'a')])).toEqual([])
  })

  test('two attributes named jvm: their values count as one set', () => {
    const attributes = attributeSet([
      { name: 'jvm', values: ['1.0'] },
      { name: 'jvm', values: ['2.0', '1.0'] },
    ])
    expect(attributes.get('jvm')).toEqual(['1.0', '2.0'])
  })

  test('3 tasks on rack a: limit 3 fails, limit 4 passes, limit 0 and below never', () => {
    const on = host({ rack: ['a'] })
    const counts = { 'rack=a': 3 }
    expect(textsOf(on, [limit('rack', 3)], { counts })).toEqual(['Limit not satisfied: rack'])
    expect(textsOf(on, [limit('rack', 4)], { counts })).toEqual([])
    for (const never of [0, -1]) expect(textsOf(on, [limit('rack', never)])).toEqual(['Limit not satisfied: rack'])
  })

  test('two power units, one of them used once: limit 1 fails on the whole host', () => {
    const on = host({ pdu: ['p1', 'p2'] })
    expect(textsOf(on, [limit('pdu', 1)], { counts: { 'pdu=p2': 1 } })).toEqual(['Limit not satisfied: pdu'])
    expect(textsOf(on, [limit('pdu', 1)])).toEqual([])
  })

  test('any values: a negated constraint is the opposite of the plain one on hosts that have the attribute', () => {
    const texts = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'))
    fc.assert(
      fc.property(texts, texts, (named, has) => {
        const plain = isValueSatisfied({ type: 'value', negated: false, values: named }, has)
        expect(isValueSatisfied({ type: 'value', negated: true, values: named }, has)).toBe(!plain)
        expect(plain).toBe(new Set([...named, ...has]).size < named.length + has.length)
      }),
    )
  })
})

test('any amounts: how often a task fits is what repeated subtraction says', () => {
  const amounts = fc.record({
    cpusMilli: fc.integer({ min: -5, max: 40 }),
    ramMb: fc.integer({ min: 0, max: 40 }),
    diskMb: fc.integer({ min: 0, max: 40 }),
    ports: fc.integer({ min: 0, max: 5 }),
    gpus: fc.integer({ min: 0, max: 3 }),
  })
  fc.assert(
    fc.property(amounts, amounts, fc.integer({ min: 1, max: 9 }), (free, asked, most) => {
      const needs = { ...asked, cpusMilli: Math.max(0, asked.cpusMilli) }
      const left = { ...free }
      let times = 0
      const fits = () => NEED_KINDS.every(({ type }) => needs[type] === 0 || left[type] >= needs[type])
      while (times < most && fits()) {
        for (const { type } of NEED_KINDS) left[type] -= needs[type]
        times++
      }
      expect(timesFitting(free, needs, most)).toBe(times)
    }),
  )
})

test('a gang of which one member finds a host: in the singular', () => {
  expect([0, 1, 2].map(found => gangVeto(8, found).text)).toEqual([
    'Gang of 8 not satisfied: 0 find a host',
    'Gang of 8 not satisfied: 1 finds a host',
    'Gang of 8 not satisfied: 2 find a host',
  ])
})
