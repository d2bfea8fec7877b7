import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { configId, type TaskId, taskId } from '../../../src/core/base/ids.ts'
import { prng } from '../../../src/core/base/prng.ts'
import type { Want } from '../../../src/core/scheduling/matcher.ts'
import { type GroupFacts, TASK_GROUPS_DEFAULTS, TaskGroups } from '../../../src/core/scheduling/task-groups.ts'

const facts = (id: string, { role = 'www-data', priority = 0 } = {}): GroupFacts => ({
  configId: configId(id),
  job: { role, environment: 'devel', name: id },
  priority,
})
const groups = (seed = 1) => new TaskGroups(TASK_GROUPS_DEFAULTS, prng(seed))
const texts = (wants: readonly Want[]) => wants.flatMap(want => want.taskIds.map(String))

function addMany(to: TaskGroups, of: GroupFacts, count: number, nowMs = 0): TaskId[] {
  const ids = Array.from({ length: count }, (_, i) => taskId(`${of.configId}-${i}`))
  for (const id of ids) to.add(id, of, nowMs, 0)
  return ids
}
/** A round in which nothing of the group found a place. */
function failOnce(to: TaskGroups, nowMs: number): void {
  for (const { configId: id, taskIds } of to.gather(nowMs, 512)) {
    to.done({ configId: id, placed: [], unplaced: taskIds, gone: [] }, nowMs)
  }
}
const viewOf = (of: TaskGroups, id: string) => [...of.views()].find(view => view.configId === id)

describe('pacing', () => {
  test('a ready group that is put off while it waits for its turn: those behind it are due at once', () => {
    const queue = groups()
    addMany(queue, facts('a', { role: 'first' }), 20)
    addMany(queue, facts('b', { role: 'second' }), 20)
    const [want] = queue.gather(0, 16)
    queue.done({ configId: configId('a'), placed: [], unplaced: want!.taskIds, gone: [] }, 0)
    expect(queue.nextDueMs()).toBeLessThanOrEqual(0)
    expect(queue.gather(0, 512).map(({ configId: id, taskIds }) => [id, taskIds.length])).toEqual([['b', 20]])
    expect(queue.nextDueMs()).toBe(1000)
  })

  test('a new task is due after its delay and not before', () => {
    const queue = groups()
    queue.add(taskId('a'), facts('c'), 100, 1)
    expect([queue.nextDueMs(), queue.gather(100, 512)]).toEqual([101, []])
    expect(texts(queue.gather(101, 512))).toEqual(['a'])
    expect(queue.nextDueMs()).toBeNull()
  })

  test('fruitless attempts: 1 s first, then growing by chance to a minute, never shrinking', () => {
    for (let seed = 0; seed < 20; seed++) {
      const queue = groups(seed)
      addMany(queue, facts('c'), 3)
      let nowMs = 0
      const waits: number[] = []
      for (let i = 0; i < 40; i++) {
        failOnce(queue, nowMs)
        waits.push(queue.nextDueMs()! - nowMs)
        nowMs = queue.nextDueMs()!
      }
      expect(waits[0]).toBe(1000)
      expect(waits.every((wait, i) => i === 0 || (wait >= waits[i - 1]! && wait <= 2 * waits[i - 1]!))).toBe(true)
      expect(Math.max(...waits)).toBe(60_000)
    }
  })

  test('found at the start: neither a wake-up nor a task more brings the group forward, later ones wait for nothing', () => {
    const queue = groups()
    queue.addFound(taskId('a'), facts('c'), 100, 30_000)
    const turnMs = queue.nextDueMs()!
    expect(turnMs).toBeGreaterThan(100)
    expect(turnMs).toBeLessThan(30_100)
    queue.addFound(taskId('b'), facts('c'), 101, 30_000)
    queue.add(taskId('d'), facts('c'), 102, 1)
    queue.wake(configId('c'), 103)
    expect(queue.nextDueMs()).toBe(turnMs)
    expect(texts(queue.gather(turnMs, 512))).toEqual(['a', 'b', 'd'])
    queue.giveUp(turnMs)
    expect(queue.nextDueMs()).toBe(turnMs)
    failOnce(queue, turnMs)
    queue.wake(configId('c'), turnMs + 1)
    expect(queue.nextDueMs()).toBe(turnMs + 1)
  })

  test('found at the start, spread over 0 s, or into a group that is open: due at once', () => {
    const queue = groups()
    queue.addFound(taskId('a'), facts('c'), 100, 0)
    queue.add(taskId('b'), facts('d'), 100, 1000)
    queue.addFound(taskId('e'), facts('d'), 100, 30_000)
    expect(texts(queue.gather(100, 512))).toEqual(['a', 'b', 'e'])
  })

  test('some placed and some left: the wait begins anew; all placed: the group is gone', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 4)
    failOnce(queue, 0)
    failOnce(queue, 1000)
    const nowMs = queue.nextDueMs()!
    queue.gather(nowMs, 512)
    queue.done({ configId: configId('c'), placed: ids.slice(0, 1), unplaced: ids.slice(1), gone: [] }, nowMs)
    expect([queue.nextDueMs()! - nowMs, viewOf(queue, 'c')?.taskIds]).toEqual([1000, ids.slice(1)])
    queue.gather(nowMs + 1000, 512)
    queue.done({ configId: configId('c'), placed: ids.slice(1), unplaced: [], gone: [] }, nowMs + 1000)
    expect([queue.groupCount, queue.taskCount, queue.takeDropped()]).toEqual([0, 0, ['c']])
  })

  test('a parked group: a wake or a new task makes it due at once', () => {
    const queue = groups()
    addMany(queue, facts('c'), 2)
    failOnce(queue, 0)
    queue.wake(configId('c'), 5)
    expect(queue.nextDueMs()).toBe(5)
    failOnce(queue, 5)
    queue.add(taskId('new'), facts('c'), 10, 1)
    expect(queue.nextDueMs()).toBe(11)
  })

  test('a wake while its round is being decided: the failure is out of date, so it is tried again at once', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 1)
    queue.gather(0, 512)
    queue.wake(configId('c'), 3)
    queue.done({ configId: configId('c'), placed: [], unplaced: ids, gone: [] }, 4)
    expect(queue.nextDueMs()).toBe(4)
    failOnce(queue, 4)
    expect(queue.nextDueMs()).toBeGreaterThan(1000)
  })

  test('an assignment that comes back counts as fruitless, so that it cannot spin', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 1)
    queue.gather(0, 512)
    queue.done({ configId: configId('c'), placed: ids, unplaced: [], gone: [] }, 0)
    queue.returned(ids[0]!, facts('c'), 5)
    expect(queue.nextDueMs()).toBe(1005)
  })

  test('many that come back together are one fruitless attempt: the group is not kept from room for a minute', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 100)
    queue.gather(0, 512)
    queue.done({ configId: configId('c'), placed: ids, unplaced: [], gone: [] }, 0)
    for (const id of ids) queue.returned(id, facts('c'), 5)
    expect(queue.nextDueMs()).toBe(1005)
    expect(queue.gather(1005, 512)[0]?.taskIds).toHaveLength(100)
  })

  test('one that comes back while the group is being tried does not undo a wake', () => {
    const queue = groups()
    const [first, second] = addMany(queue, facts('c'), 2) as [TaskId, TaskId]
    queue.gather(0, 1)
    queue.done({ configId: configId('c'), placed: [first], unplaced: [], gone: [] }, 0)
    queue.gather(0, 1)
    queue.wake(configId('c'), 1)
    queue.returned(first, facts('c'), 2)
    queue.done({ configId: configId('c'), placed: [], unplaced: [second], gone: [] }, 3)
    expect(queue.nextDueMs()).toBe(3)
  })

  test('a round that is given up: its tasks are due at once, in their old order', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 3)
    queue.gather(0, 2)
    queue.giveUp(7)
    expect(texts(queue.gather(7, 512))).toEqual(ids.map(String))
  })
})

describe('order', () => {
  test('1000 tasks of A, then 1 of B: B is in the very next round', () => {
    const queue = groups()
    addMany(queue, facts('a'), 1000)
    addMany(queue, facts('b'), 1)
    const round = texts(queue.gather(0, 512))
    expect(round).toHaveLength(512)
    expect(round).toContain('b-0')
  })

  test('two roles share a round whatever the number of their groups', () => {
    const queue = groups()
    for (let i = 0; i < 20; i++) addMany(queue, facts(`many${i}`, { role: 'many' }), 20)
    addMany(queue, facts('one', { role: 'one' }), 200)
    const round = texts(queue.gather(0, 320))
    expect(round.filter(id => id.startsWith('one')).length).toBe(160)
  })

  test('higher priority first', () => {
    const queue = groups()
    addMany(queue, facts('low', { priority: 1 }), 10)
    addMany(queue, facts('high', { priority: 9 }), 10)
    addMany(queue, facts('mid', { priority: 5 }), 10)
    expect(queue.gather(0, 25).map(want => [want.configId, want.taskIds.length])).toEqual([
      ['high', 10],
      ['mid', 10],
      ['low', 5],
    ])
  })

  test('tasks of a group come in the order in which they arrived, tried ones first', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 4)
    queue.gather(0, 2)
    queue.add(taskId('late'), facts('c'), 0, 0)
    queue.done({ configId: configId('c'), placed: [], unplaced: ids.slice(0, 2), gone: [] }, 0)
    expect(viewOf(queue, 'c')?.taskIds).toEqual([...ids, 'late'])
  })

  test('a killed task leaves the group while it waits or is tried; its peers stay', () => {
    const queue = groups()
    const ids = addMany(queue, facts('c'), 3)
    queue.gather(0, 1)
    queue.remove(ids[0]!)
    queue.remove(ids[1]!)
    queue.done({ configId: configId('c'), placed: [], unplaced: [ids[0]!], gone: [] }, 0)
    expect(viewOf(queue, 'c')?.taskIds).toEqual([ids[2]])
    queue.remove(ids[2]!)
    expect([queue.groupCount, queue.takeDropped(), queue.takeDropped()]).toEqual([0, ['c'], []])
  })
})

test('any sequence of events: no task is lost, none is tried twice at a time, and counts agree with a twin', () => {
  const step = fc.oneof(
    fc.record({ type: fc.constant('add' as const), group: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ type: fc.constant('remove' as const), n: fc.nat() }),
    fc.record({ type: fc.constant('gather' as const), most: fc.integer({ min: 1, max: 6 }) }),
    fc.record({
      type: fc.constant('done' as const),
      fates: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 6, maxLength: 6 }),
    }),
    fc.record({ type: fc.constant('giveUp' as const) }),
    fc.record({ type: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 3000 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.nat(), (steps, seed) => {
      const queue = groups(seed)
      const twin = new Set<string>()
      let round: readonly Want[] = []
      let nowMs = 0
      let ids = 0
      for (const event of steps) {
        switch (event.type) {
          case 'add': {
            const of = facts(`g${event.group}`, { role: `r${event.group % 2}`, priority: event.group % 3 })
            const id = taskId(`t${ids++}`)
            queue.add(id, of, nowMs, 1)
            twin.add(id)
            break
          }
          case 'remove': {
            const id = [...twin][event.n % Math.max(1, twin.size)]
            if (id === undefined) break
            queue.remove(taskId(id))
            twin.delete(id)
            break
          }
          case 'gather': {
            if (round.length > 0) break
            round = queue.gather(nowMs, event.most)
            const taken = texts(round)
            expect(taken.length).toBeLessThanOrEqual(event.most)
            expect(new Set(taken).size).toBe(taken.length)
            expect(taken.every(id => twin.has(id))).toBe(true)
            break
          }
          case 'done': {
            let n = 0
            for (const { configId: id, taskIds } of round) {
              const fate = new Map(taskIds.map(task => [task, event.fates[n++ % 6]!]))
              const of = (which: number) => taskIds.filter(task => fate.get(task) === which)
              queue.done({ configId: id, placed: of(0), unplaced: of(1), gone: of(2) }, nowMs)
              for (const task of [...of(0), ...of(2)]) twin.delete(task)
            }
            round = []
            break
          }
          case 'giveUp':
            queue.giveUp(nowMs)
            round = []
            break
          case 'pass':
            nowMs += event.ms
        }
        const known = [...queue.views()].flatMap(view => view.taskIds)
        expect([...known].sort()).toEqual([...twin].sort())
        expect(queue.taskCount).toBe(twin.size)
        if (round.length === 0 && twin.size > 0) expect(queue.nextDueMs()).not.toBeNull()
      }
    }),
  )
})
