import { describe, expect, it } from 'vitest'
import { type FoundJob, JobAccounts } from '../../bench/soak/accounts.ts'
import { drift, medianOf, type Point, partOf, slope } from '../../bench/soak/drift.ts'
import { planOf } from '../../bench/soak/plan.ts'
import { figuresOf, named, type SoakRun, unexpected } from '../../bench/soak/soak-report.ts'

const points = (count: number, of: (at: number) => number): Point[] =>
  Array.from({ length: count }, (_, at) => ({ atS: at * 10, value: of(at) }))

describe('slope', () => {
  it('of a straight line is its own', () => {
    expect(slope(points(20, at => 3 + 5 * at))).toBeCloseTo(0.5)
  })
  it('a quarter of wild values does not change it much', () => {
    const wild = points(40, at => (at % 4 === 0 ? 10_000 : 2 * at))
    expect(slope(wild)).toBeGreaterThan(0.1)
    expect(slope(wild)).toBeLessThan(0.3)
  })
  it('of a sawtooth that comes back to where it was is about 0', () => {
    expect(Math.abs(slope(points(120, at => at % 10)))).toBeLessThan(0.001)
  })
  it('of one point is not a number', () => {
    expect(slope(points(1, () => 1))).toBeNaN()
  })
})

describe('drift', () => {
  it('compares the last sixth with the second one; what happens before and between does not count', () => {
    const values = points(60, at => (at < 10 ? 1_000 : at < 20 ? 100 : at < 50 ? 7 : 150))
    expect(drift(values, 600, medianOf)).toBe(1.5)
  })
  it('a sample that came after the end is of the last part', () => {
    expect(partOf([{ atS: 601 }], 5, 600)).toHaveLength(1)
  })
  it('without points in one of the parts is not a number', () => {
    expect(
      drift(
        points(15, () => 1),
        600,
        medianOf,
      ),
    ).toBeNaN()
  })
})

describe('plan', () => {
  it('of an hour: leadership changes every five minutes, away and back, with one kill in the middle', () => {
    const plan = planOf(3_600)
    expect(plan.map(({ atS }) => atS)).toEqual([5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55].map(minute => minute * 60))
    const what = plan.map(step => (step.what === 'transfer' ? step.to : step.what))
    expect(what).toEqual([2, 'stop', 3, 'stop', 2, 'kill', 3, 'stop', 2, 'stop', 3])
  })
  it('of a few seconds: there and back, with the kill', () => {
    expect(planOf(20).map(({ what }) => what)).toEqual(['transfer', 'kill'])
  })
})

describe('job accounts', () => {
  const found = (name: string, active: number, isStored = true): FoundJob => ({ name, isStored, active })
  const accounts = (): JobAccounts => {
    const made = new JobAccounts()
    for (const name of ['a', 'b', 'c', 'd']) made.creating(name, 2)
    for (const name of ['a', 'b', 'c']) made.created(name)
    made.killing('b')
    made.killed('b')
    made.killing('c')
    return made
  }

  it('all is well when what was acknowledged is there and what was killed is not; nothing is said of the unanswered', () => {
    expect(accounts().compare([found('a', 2), found('of-others', 1)])).toEqual({ lost: [], revived: [], uneven: [] })
    expect(accounts().compare([found('a', 2), found('c', 2), found('d', 1)])).toEqual({
      ...{ lost: [], revived: [], uneven: [] },
    })
  })
  it('an acknowledged job that is not there is lost, also when its ended tasks are', () => {
    expect(accounts().compare([]).lost).toEqual(['a'])
    expect(accounts().compare([found('a', 0, false)]).lost).toEqual(['a'])
  })
  it('a killed job that is there, or has a task, has come back; its history may stay', () => {
    expect(accounts().compare([found('a', 2), found('b', 0)]).revived).toEqual(['b'])
    expect(accounts().compare([found('a', 2), found('b', 1, false)]).revived).toEqual(['b'])
    expect(accounts().compare([found('a', 2), found('b', 0, false)]).revived).toEqual([])
  })
  it('tells of jobs that have too few or too many active tasks', () => {
    expect(accounts().compare([found('a', 1)]).uneven).toEqual(['a: 1 of 2'])
    expect(accounts().compare([found('a', 3)]).uneven).toEqual(['a: 3 of 2'])
  })
  it('refuses an answer to what was not asked', () => {
    expect(() => accounts().killed('a')).toThrow('job a is created, not killing')
    expect(() => accounts().created('z')).toThrow('job z is unknown, not creating')
  })
})

describe('report', () => {
  const node = { rssBytes: 100 * 1_048_576, heapBytes: 1, descriptors: 40, lmdbBytes: 1_048_576, folderBytes: 1 }
  const run = (lengthS: number, of: (atS: number) => Partial<typeof node>): SoakRun => ({
    ...{ beganMs: 0, lengthS, timings: [], failures: [], disturbances: [], changes: 10, events: 1, lost: 0 },
    samples: points(lengthS / 10, at => at).map(({ atS }) => {
      return { atS, cores: 0.5, nodes: [{ ...node, ...of(atS) }, node, atS === 50 ? null : node] }
    }),
  })
  const named1 = (all: ReturnType<typeof figuresOf>, name: string) => all.find(one => one.name === name)

  it('memory that grows by half misses its target, what stays meets it', () => {
    const figures = figuresOf(run(3_600, atS => ({ rssBytes: (atS > 1_800 ? 150 : 100) * 1_048_576 })))
    expect(named1(figures, 'memory-drift')).toMatchObject({ median: 1.5, met: false })
    expect(named1(figures, 'file-drift')).toMatchObject({ median: 1, met: true })
    expect(named1(figures, 'memory-minute-05')!.median).toBe(100)
    expect(named1(figures, 'memory-minute-60')!.median).toBe(150)
  })
  it('a short run is not judged', () => {
    expect(named1(figuresOf(run(120, () => ({}))), 'memory-drift')!.met).toBeNull()
  })
  it('a failure near a change of leader is excused, one apart from it is not, and a final one never', () => {
    const disturbances = [{ what: 'kill', fromMs: 1_000, toMs: 3_000 }]
    const at = (atMs: number, isFinal = false) => ({ atMs, what: '503', isFinal })
    const failures = [at(900), at(1_000), at(7_900), at(8_100), at(2_000, true)]
    expect(unexpected({ failures, disturbances })).toEqual([failures[0], failures[3], failures[4]])
  })
  it('latency is of what was due in calm, the worst of all', () => {
    const timings = points(60, at => at).map(({ atS, value }) => {
      return { isWrite: true, dueMs: atS * 1_000, tookMs: value === 30 ? 9_000 : 5 }
    })
    const disturbances = [{ what: 'kill', fromMs: 299_000, toMs: 301_000 }]
    const figures = figuresOf({ ...run(600, () => ({})), timings, disturbances })
    expect(named1(figures, 'write-p99')!.max).toBe(5)
    expect(named1(figures, 'write-worst')!.median).toBe(9_000)
    expect(named1(figures, 'read-p99')).toBeUndefined()
  })
  it('failures are named by how often they came', () => {
    const failures = ['a', 'b', 'a', 'c'].map(what => ({ atMs: 1, what, isFinal: false }))
    expect(named(failures, 1)).toEqual(['2 × a', '2 of 2 other kinds'])
  })
})
