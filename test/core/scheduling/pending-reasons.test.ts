import { describe, expect, test } from 'vitest'
import type { Needs } from '../../../src/core/offers/needs.ts'
import { attributeSet } from '../../../src/core/scheduling/constraints.ts'
import { ReasonTally } from '../../../src/core/scheduling/pending-reasons.ts'
import { shortages, type Veto, vetoes } from '../../../src/core/scheduling/veto.ts'

const none: Needs = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }
const asked: Needs = { cpusMilli: 1000, ramMb: 1024, diskMb: 4096, ports: 2, gpus: 0 }
const countOf = () => 9
const on = (host: Parameters<typeof vetoes>[0]) =>
  vetoes(host, { needs: asked, constraints: [{ name: 'rack', rule: { type: 'limit', limit: 9 } }], countOf })
const attributes = (of: readonly string[]) => attributeSet(of.map(name => ({ name, values: ['a'] })))

const DEDICATED = on({ mode: 'NONE', attributes: attributes(['dedicated', 'rack']), free: none })
const MAINTENANCE = on({ mode: 'DRAINED', attributes: attributes(['rack']), free: none })
const LIMIT = on({ mode: 'NONE', attributes: attributes(['rack']), free: none })
const RESOURCES = shortages(none, asked)
const seen = (name: string, total = none, free = total) => ({ row: { host: name }, total, free })

function tally(...sets: (readonly Veto[])[]): ReasonTally {
  const made = new ReasonTally()
  sets.forEach((set, i) => {
    made.note(seen(`h${i}`), set)
  })
  return made
}

describe('the nearest fit', () => {
  test('dedicated, then maintenance, then a constraint, then four resources: each replaces the former', () => {
    expect(tally(DEDICATED).nearest).toEqual(['Host is dedicated'])
    expect(tally(DEDICATED, MAINTENANCE).nearest).toEqual(['Host drained for maintenance'])
    expect(tally(DEDICATED, MAINTENANCE, LIMIT).nearest).toEqual(['Limit not satisfied: rack'])
    expect(tally(DEDICATED, MAINTENANCE, LIMIT, RESOURCES).nearest).toEqual([
      'Insufficient: CPU',
      'Insufficient: RAM',
      'Insufficient: disk',
      'Insufficient: ports',
    ])
  })

  test('a worse host seen later: the better one stays; of two equally near ones the first', () => {
    expect(tally(RESOURCES, LIMIT, DEDICATED).nearest).toHaveLength(4)
    const cpu = shortages({ ...asked, cpusMilli: 0 }, asked)
    const ports = [{ ...shortages({ ...asked, ports: 0 }, asked)[0]!, score: cpu[0]!.score }]
    expect(tally(cpu, ports).nearest).toEqual(['Insufficient: CPU'])
    expect(tally(ports, cpu).nearest).toEqual(['Insufficient: ports'])
  })
})

describe('for people', () => {
  test('every obstacle with its number of hosts, the nearest first', () => {
    const cpu = shortages({ ...asked, cpusMilli: 0 }, asked)
    const { reasons, details } = tally(DEDICATED, DEDICATED, cpu).finish(asked)
    expect(reasons).toEqual(['Insufficient: CPU'])
    expect(details.slice(0, 2)).toEqual(['Insufficient: CPU (1 host)', 'Host is dedicated (2 hosts)'])
  })

  test('the largest host is named per type, with what is free, and whether the task can fit at all', () => {
    const made = new ReasonTally()
    const total = { ...asked, cpusMilli: 4000, ramMb: 512 }
    const free = { ...total, cpusMilli: 500 }
    made.note(seen('small', { ...total, cpusMilli: 2000 }, none), shortages(none, asked))
    made.note(seen('big', total, free), shortages(free, asked))
    expect(made.finish(asked).details).toContain(
      'largest host big has 4 core(s), 0.5 core(s) free; 1 core(s) of CPU asked',
    )
    expect(made.finish(asked).details).toContain(
      'can never fit: largest host big has 512 MB, 512 MB free; 1024 MB of RAM asked',
    )
  })

  test('no host was seen: no agents available', () => {
    expect(new ReasonTally().finish(asked)).toEqual({ reasons: [], details: ['No agents available'] })
  })
})
