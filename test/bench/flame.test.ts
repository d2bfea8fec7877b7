import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { flameSvg } from '../../bench/profile/flame.ts'
import { type CpuProfile, framesOf, hottest } from '../../bench/profile/frames.ts'
import { placesFrom } from '../../bench/profile/places.ts'
import { drawProfiles, profilesIn } from '../../bench/profile/profiler.ts'

const node = (id: number, functionName: string, children: number[] = [], lineNumber = 0) => ({
  id,
  callFrame: { functionName, url: functionName.startsWith('(') ? '' : '/p/a.js', lineNumber, columnNumber: 0 },
  children,
})
const place = ({ url, lineNumber }: { url: string; lineNumber: number }): string => url && `${url}:${lineNumber + 1}`

/** root: main (which calls work, and work again from another line, which calls deep), idle. */
const PROFILE: CpuProfile = {
  nodes: [
    node(1, '(root)', [2, 6]),
    node(2, 'main', [3, 4]),
    node(3, 'work'),
    node(4, 'work', [5]),
    node(5, 'deep'),
    node(6, '(idle)'),
  ],
  startTime: 1_000,
  endTime: 2_000,
  samples: [2, 3, 6, 4, 5],
  timeDeltas: [0, 100, 200, 300, 50],
}

describe('a CPU profile', () => {
  test('what was found running ran until the next sample; idle time is apart', () => {
    const { root, idleMicros } = framesOf(PROFILE, place)
    expect(idleMicros).toBe(300)
    expect(root).toMatchObject({ name: '(root)', micros: 700, selfMicros: 0 })
  })

  test('calls of one function from one caller are one frame', () => {
    const { root } = framesOf(PROFILE, place)
    const [main] = root.children
    expect(main).toMatchObject({ name: 'main', selfMicros: 100, micros: 700 })
    expect(main?.children).toEqual([
      {
        ...{ name: 'work', place: '/p/a.js:1', selfMicros: 250, micros: 600 },
        children: [{ name: 'deep', place: '/p/a.js:1', selfMicros: 350, micros: 350, children: [] }],
      },
    ])
  })

  test('the hottest functions by their own time, wherever they were called from', () => {
    expect(hottest(framesOf(PROFILE, place).root, 2).map(({ name, selfMicros }) => [name, selfMicros])).toEqual([
      ['deep', 350],
      ['work', 250],
    ])
  })

  test('an empty one is empty', () => {
    expect(framesOf({ nodes: [], startTime: 0, endTime: 0 }, place)).toMatchObject({ root: { micros: 0 } })
  })
})

describe('a flame graph', () => {
  const widths = (svg: string): Record<string, number> =>
    Object.fromEntries(
      [...svg.matchAll(/<title>(\S+) [^<]*<\/title><rect x="[\d.]+" y="\d+" width="([\d.]+)"/g)].map(
        ([, name, width]) => [name, Number(width)],
      ),
    )

  test('is as wide as the time with all that was called, callers below', () => {
    const svg = flameSvg('n', framesOf(PROFILE, place))
    const found = widths(svg)
    expect(found.main! / found.deep!).toBeCloseTo(2, 2)
    expect(found.main! / found.work!).toBeCloseTo(700 / 600, 2)
    const y = (name: string): number =>
      Number(new RegExp(`<title>${name} [^<]*</title><rect x="[^"]*" y="(\\d+)"`).exec(svg)?.[1])
    expect(y('main')).toBeGreaterThan(y('work'))
    expect(y('work')).toBeGreaterThan(y('deep'))
  })

  test('says in the title what it is and which share it has, and needs no script', () => {
    const svg = flameSvg('node-1', framesOf(PROFILE, place))
    expect(svg).toContain('<title>work /p/a.js:1: 85.7 %, 35.7 % itself</title>')
    expect(svg).toContain('busy 0.00 s of 0.00 s')
    expect(svg).not.toMatch(/<script|onclick|href/)
  })

  test('names are data: they neither end a tag nor begin one', () => {
    const nasty = '</title><script>"&\u0000\ud800'
    const { nodes } = PROFILE
    const renamed = nodes.map(one => ({
      ...one,
      callFrame: { ...one.callFrame, functionName: one.id === 2 ? nasty : 'f' },
    }))
    const svg = flameSvg(nasty, framesOf({ ...PROFILE, nodes: renamed }, place))
    expect(svg).not.toContain('<script')
    expect(svg).toContain('<title>&lt;/title&gt;&lt;script&gt;&quot;&amp;?? /p/a.js:1')
  })

  test('the same profile gives the same picture', () => {
    expect(flameSvg('n', framesOf(PROFILE, place))).toBe(flameSvg('n', framesOf(PROFILE, place)))
  })

  test('a profile that was cut off is told and does not keep the others from being drawn', () => {
    const folder = mkdtempSync(join(tmpdir(), 'daybreak-bench-flame-'))
    try {
      writeFileSync(join(folder, 'a.cpuprofile'), '{"nodes":[')
      writeFileSync(join(folder, 'b.cpuprofile'), JSON.stringify(PROFILE))
      const lines = drawProfiles(folder, ['a', 'b'], place)
      expect(lines[0]).toBe('profile a: not whole; its process was killed while it wrote')
      expect(lines[2]).toBe('profile b:  50.0 % deep /p/a.js:1')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

test('profiles that Node has named are called by process and thread', () => {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-bench-profiles-'))
  try {
    mkdirSync(join(folder, 'node-1'))
    for (const name of ['CPU.20260101.010203.77.0.001', 'CPU.20260101.010204.77.1.002']) {
      writeFileSync(join(folder, 'node-1', `${name}.cpuprofile`), JSON.stringify(PROFILE))
    }
    writeFileSync(join(folder, 'bench.cpuprofile'), JSON.stringify(PROFILE))
    const names = ['bench', 'node-1/77-main', 'node-1/77-thread-1']
    expect(profilesIn(folder)).toEqual(names)
    expect(profilesIn(folder)).toEqual(names)
    expect(profilesIn(join(folder, 'no'))).toEqual([])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

test('places are told by the source map beside a file, and without one by the file itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-bench-places-'))
  try {
    const map = { version: 3, sources: ['../src/x.ts'], names: [], mappings: 'AAIA' }
    writeFileSync(join(folder, 'x.js'), '')
    writeFileSync(join(folder, 'x.js.map'), JSON.stringify(map))
    const at = placesFrom(join(folder, '..'))
    const call = (url: string) => at({ functionName: 'f', url, lineNumber: 0, columnNumber: 0 })
    expect(call(`file://${folder}/x.js`)).toBe('src/x.ts:5')
    expect(call(`${folder}/y.js`)).toMatch(/^daybreak-bench-places-\w+\/y\.js:1$/)
    expect(call('node:fs')).toBe('node:fs')
    expect(call('')).toBe('')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
