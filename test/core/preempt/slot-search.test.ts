import { describe, expect, test } from 'vitest'
import { agentId } from '../../../src/core/base/ids.ts'
import { cores, PreemptionWorld as World } from '../../fixtures/preemption-world.ts'
import { HELLO } from '../../fixtures/rows.ts'

const other = { ...HELLO, role: 'other', name: 'x' }

describe('who may be preempted', () => {
  test('sched-56: production of any priority takes the place of what is preemptible, whatever its role and priority', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, priority: 100, resources: cores(4) })
    world.running('v', 'victim', 'h')
    world.config('prod', { tier: 'preferred', priority: -1000, resources: cores(2) })
    expect(world.victimsOf('prod')).toEqual(['v'])
  })

  test('sched-57: production of another role is never preempted', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, tier: 'preferred', priority: 0, resources: cores(4) })
    world.running('v', 'victim', 'h')
    world.config('prod', { tier: 'preferred', priority: 1000, resources: cores(2) })
    expect(world.victimsOf('prod')).toBeUndefined()
  })

  test('sched-58, sched-59: within a role only a lower priority goes, and never an equal one', () => {
    const world = new World()
    world.agent('h')
    for (const priority of [100, 99, 1]) {
      world.config(`p${priority}`, { priority, resources: cores(1) })
      world.running(`v${priority}`, `p${priority}`, 'h')
    }
    world.config('equal', { priority: 1, resources: cores(1) })
    world.running('other', 'equal', 'h')
    world.config('pending', { priority: 98, resources: cores(1) })
    expect(world.victimsOf('pending')).toHaveLength(1)
    world.config('same', { priority: 1, resources: cores(1) })
    expect(world.victimsOf('same')).toBeUndefined()
  })

  test('what is dying is no victim', () => {
    const world = new World()
    world.agent('h')
    world.config('victim', { job: other, resources: cores(4) })
    world.running('v', 'victim', 'h', 'KILLING')
    world.config('prod', { tier: 'preferred', resources: cores(2) })
    expect(world.victimsOf('prod')).toBeUndefined()
  })
})

describe('which tasks go', () => {
  const prod = { tier: 'preferred', resources: cores(2) } as const

  test('sched-60: two of one core for two cores; of 4, 1 and 1 only the 4', () => {
    const small = new World()
    small.agent('h', { total: { ...cores(2), ramMb: 8192, diskMb: 8192 } })
    small.config('one', { job: other, resources: cores(1) })
    small.running('a', 'one', 'h')
    small.running('b', 'one', 'h')
    small.config('prod', prod)
    expect(small.victimsOf('prod')).toEqual(['a', 'b'])

    const mixed = new World()
    mixed.agent('h', { total: { ...cores(6), ramMb: 8192, diskMb: 8192 } })
    mixed.config('four', { job: other, resources: cores(4) })
    mixed.config('one', { job: other, resources: cores(1) })
    mixed.running('big', 'four', 'h')
    mixed.running('a', 'one', 'h')
    mixed.running('b', 'one', 'h')
    mixed.config('prod', prod)
    expect(mixed.victimsOf('prod')).toEqual(['big'])
  })

  test('sched-61: what is free counts, lent cores do not, and a revocable victim gives none', () => {
    const world = new World()
    world.agent('h', { total: { ...cores(2), ramMb: 8192, diskMb: 8192 } })
    world.config('one', { job: other, resources: cores(1) })
    world.running('v', 'one', 'h')
    world.config('prod', prod)
    expect(world.victimsOf('prod')).toEqual(['v'])

    const lent = new World()
    lent.agent('h', { total: { ...cores(1), ramMb: 8192, diskMb: 8192 }, revocable: { cpusMilli: 4000 } })
    lent.config('one', { job: other, resources: cores(1) })
    lent.running('v', 'one', 'h')
    lent.config('prod', prod)
    expect(lent.victimsOf('prod')).toBeUndefined()

    lent.agent('i', { total: { ...cores(1), ramMb: 8192, diskMb: 8192 }, revocable: { cpusMilli: 4000 } })
    lent.config('lent', { job: other, tier: 'revocable', resources: cores(4) })
    lent.running('r', 'lent', 'i')
    expect(lent.victimsOf('prod')).toBeUndefined()
  })

  test('sched-62: room without any victim is no slot', () => {
    const world = new World()
    world.agent('h')
    world.config('prod', prod)
    expect(world.victimsOf('prod')).toBeUndefined()
  })

  test('sched-66: a host without a protected victim is chosen; where there is no other, the protected one goes', () => {
    const world = new World()
    for (const id of ['h', 'i']) {
      world.agent(id)
      world.config(`on-${id}`, { job: { ...other, name: id }, priority: id === 'h' ? 0 : 50, resources: cores(4) })
      world.running(`v-${id}`, `on-${id}`, id)
    }
    world.config('prod', prod)
    const staysOnH = (id: string) => id === 'v-h'
    expect(world.slots('prod', 1, staysOnH)[0]?.host).toBe('i.example')
    world.matcher.agentDown(agentId('i'))
    expect(world.slots('prod', 1, staysOnH)[0]).toMatchObject({ host: 'h.example', violations: 1 })
  })

  test('sched-67: 20 pending tasks and 20 full hosts: one search finds a slot for each, no host and no victim twice', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (let i = 0; i < 20; i++) {
      world.agent(`h${i}`)
      world.running(`v${i}`, 'victim', `h${i}`)
    }
    world.config('prod', { tier: 'preferred', resources: cores(4) })
    const slots = world.slots('prod', 20)
    expect(slots).toHaveLength(20)
    expect(new Set(slots.map(slot => slot.agentId)).size).toBe(20)
    expect(new Set(slots.flatMap(slot => slot.victims.map(victim => victim.taskId))).size).toBe(20)
  })

  test('a limit holds over the slots of one search: one rack, one slot', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (let i = 0; i < 4; i++) {
      world.agent(`h${i}`, { attributes: [{ name: 'rack', values: [i < 2 ? 'a' : 'b'] }] })
      world.running(`v${i}`, 'victim', `h${i}`)
    }
    const limit = { name: 'rack', rule: { type: 'limit', limit: 1 } } as const
    world.config('prod', { tier: 'preferred', resources: cores(4), constraints: [limit] })
    const slots = world.slots('prod', 4)
    expect(slots.map(slot => Number(slot.agentId.slice(1)) < 2).sort()).toEqual([false, true])
  })
})

describe('for several tasks of a group', () => {
  const prod = { tier: 'preferred', resources: cores(2) } as const

  test('what one victim leaves over is for the next task of the group, and nobody else has to go', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (const id of ['h', 'i']) {
      world.agent(id)
      world.running(`v-${id}`, 'victim', id)
    }
    world.config('prod', prod)
    const slots = world.slots('prod', 2)
    expect(new Set(slots.map(slot => slot.host)).size).toBe(1)
    expect(slots.map(slot => slot.victims.length)).toEqual([1, 0])
  })

  test('room that the group has claimed already is not counted on again while its victims still end', () => {
    const world = new World()
    world.agent('h', { total: { ...cores(3), ramMb: 8192, diskMb: 8192 } })
    world.config('one', { job: other, resources: cores(1) })
    world.running('a', 'one', 'h')
    world.running('b', 'one', 'h')
    world.config('prod', prod)
    const first = world.slots('prod')
    expect(first[0]?.victims).toHaveLength(1)
    world.use('prod', ...first)
    expect(world.slots('prod')).toEqual([])
  })

  test('room that is claimed for a production task keeps no lent cores from others', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    world.agent('h', { revocable: { cpusMilli: 4000 } })
    world.running('v', 'victim', 'h')
    world.config('prod', prod)
    world.use('prod', ...world.slots('prod'))
    world.config('lent', { tier: 'revocable', resources: cores(4) })
    expect(world.find('lent')).toMatchObject({ roomy: 1 })
  })

  test('a claim of the group counts under its limits before its task runs', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (const id of ['h', 'i']) {
      world.agent(id, { attributes: [{ name: 'rack', values: ['r'] }] })
      world.running(`v-${id}`, 'victim', id)
    }
    const limit = { name: 'rack', rule: { type: 'limit', limit: 1 } } as const
    world.config('prod', { ...prod, constraints: [limit] })
    world.use('prod', ...world.slots('prod'))
    expect(world.find('prod')).toMatchObject({ slots: [], withoutVictims: 1, tooSmall: 1 })
  })

  test('hosts of one rack stand side by side in the book: a search sees more than one rack', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (let i = 0; i < 200; i++) {
      world.agent(`h${i}`, { attributes: [{ name: 'rack', values: [`r${Math.floor(i / 100)}`] }] })
      world.running(`v${i}`, 'victim', `h${i}`)
    }
    const limit = { name: 'rack', rule: { type: 'limit', limit: 1 } } as const
    world.config('prod', { tier: 'preferred', resources: cores(4), constraints: [limit] })
    expect(world.slots('prod', 2)).toHaveLength(2)
  })

  test('a gang for which not enough room can be made costs nobody anything', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    for (const id of ['h', 'i']) {
      world.agent(id)
      world.running(`v-${id}`, 'victim', id)
    }
    world.config('three', { tier: 'preferred', resources: cores(4), gang: 3 })
    expect(world.find('three', 3)).toMatchObject({ slots: [], gangFound: 2 })
    world.config('two', { tier: 'preferred', resources: cores(4), gang: 2 })
    expect(world.slots('two', 2)).toHaveLength(2)
  })

  test('a gang under a limit: room on two hosts of one rack is room for one, and nobody goes in vain', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    const limit = { name: 'rack', rule: { type: 'limit', limit: 1 } } as const
    for (const id of ['free', 'free-too']) world.agent(id, { attributes: [{ name: 'rack', values: ['a'] }] })
    world.agent('full', { attributes: [{ name: 'rack', values: ['b'] }] })
    world.running('v', 'victim', 'full')
    world.config('three', { tier: 'preferred', resources: cores(4), gang: 3, constraints: [limit] })
    expect(world.find('three', 3)).toMatchObject({ slots: [], gangFound: 2 })
    world.config('two', { tier: 'preferred', resources: cores(4), gang: 2, constraints: [limit] })
    expect(world.slots('two', 2).map(slot => slot.host)).toEqual(['full.example'])
  })

  test('where the group finds room as it is, nobody has to go for that task', () => {
    const world = new World()
    world.config('victim', { job: other, resources: cores(4) })
    world.agent('h')
    world.running('v', 'victim', 'h')
    world.agent('free', { total: { ...cores(2), ramMb: 8192, diskMb: 8192 } })
    world.config('prod', prod)
    expect(world.find('prod', 1)).toMatchObject({ slots: [], roomy: 1 })
    expect(world.find('prod', 2).slots.map(slot => slot.host)).toEqual(['h.example'])
  })
})

describe('who goes first', () => {
  test('preemptible tasks of a high priority go before production of the same role with a low one', () => {
    const world = new World()
    world.agent('h')
    const mine = { ...HELLO, name: 'mine' }
    world.config('low', { job: mine, tier: 'preferred', priority: 0, resources: cores(2) })
    world.config('best-effort', { job: other, priority: 100, resources: cores(2) })
    world.running('production', 'low', 'h')
    world.running('preemptible', 'best-effort', 'h')
    world.config('prod', { job: mine, tier: 'preferred', priority: 10, resources: cores(2) })
    expect(world.victimsOf('prod')).toEqual(['preemptible'])
  })

  test('of two that would do alone, the smaller one goes', () => {
    const world = new World()
    world.config('big', { job: other, resources: cores(3) })
    world.config('small', { job: other, resources: cores(1) })
    world.agent('h')
    world.running('big', 'big', 'h')
    world.running('small', 'small', 'h')
    world.config('prod', { tier: 'preferred', resources: cores(1) })
    expect(world.victimsOf('prod')).toEqual(['small'])
  })
})

describe('every host is counted once, for people who ask why', () => {
  test('by what is in the way', () => {
    const world = new World()
    const wanted = [{ name: 'kind', values: ['wanted'] }]
    world.config('victim', { job: other, resources: cores(2) })
    world.config('production', { job: other, tier: 'preferred', resources: cores(4) })
    for (const [id, attributes] of [
      ['refused', []],
      ['empty-of-victims', wanted],
      ['small', wanted],
    ] as const) {
      world.agent(id, { attributes: [...attributes] })
    }
    world.running('v1', 'victim', 'refused')
    world.running('p', 'production', 'empty-of-victims')
    world.running('v2', 'victim', 'small')
    const constraint = { name: 'kind', rule: { type: 'value', negated: false, values: ['wanted'] } } as const
    world.config('prod', { tier: 'preferred', resources: cores(5), constraints: [constraint] })
    expect(world.find('prod')).toMatchObject({ slots: [], hosts: 3, refused: 1, withoutVictims: 1, tooSmall: 1 })
  })
})
