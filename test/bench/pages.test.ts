import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Plot } from '../../bench/bench.ts'
import type { Measurement } from '../../bench/harness/report.ts'
import { readPages, readResults } from '../../bench/pages/folder.ts'
import { pagesOf } from '../../bench/pages/page.ts'
import { pictureOf } from '../../bench/pages/picture.ts'
import { TARGETS, type TargetGroup } from '../../bench/pages/targets.ts'
import { faultsOf, remarksOf, verdictsOf } from '../../bench/pages/verdict.ts'
import { figureOf, measurementOf } from './measurement.ts'

const root = join(import.meta.dirname, '..', '..')

const GROUPS: readonly TargetGroup[] = [
  {
    title: 'Writes',
    targets: [
      { text: 'rate', bench: 'log', figure: 'rate', better: 'higher', bound: 100, unit: 'per s' },
      { text: 'time', bench: 'log', figure: 'time', better: 'lower', bound: 5, unit: 'ms' },
      { text: 'memory', bench: 'memory', figure: 'rss', better: 'lower', bound: 4, unit: 'MiB' },
    ],
    beside: [{ text: 'etcd', bench: 'log', figure: 'etcd' }],
  },
]
const rate = figureOf('rate', [90, 110, 120], { unit: 'per s', better: 'higher', target: 100 })
const time = figureOf('time', [6, 7, 8])
const LOG = measurementOf('log', [rate, time, figureOf('etcd', [1])])
const REMARK = { reason: 'it waits', next: 'wait less' }

describe('what is checked in', () => {
  test('docs/benchmarks.md and its pictures are what bench/results makes: run `npm run bench:docs`', () => {
    const { measurements, remarks } = readResults(root)
    const { markdown, pictures } = pagesOf(measurements, TARGETS, remarks)
    const there = readPages(root)
    expect(there.markdown).toBe(markdown)
    expect([...there.pictures.keys()]).toEqual([...pictures.keys()].sort())
    for (const [name, svg] of pictures) expect(there.pictures.get(name), name).toBe(svg)
  })

  test('every missed target has a remark in bench/results/remarks.yaml, and every remark a missed target', () => {
    const { measurements, remarks } = readResults(root)
    expect(faultsOf(verdictsOf(TARGETS, measurements, remarks), measurements, remarks)).toEqual([])
  })

  test('a target has one figure and a figure one target', () => {
    const keys = TARGETS.flatMap(({ targets }) => targets.map(({ bench, figure }) => `${bench}/${figure}`))
    expect(new Set(keys).size).toBe(keys.length)
  })
})

describe('targets against what was measured', () => {
  const verdicts = (measurements: readonly Measurement[]) =>
    verdictsOf(GROUPS, measurements, {}).flatMap(group => group.verdicts.map(({ verdict }) => verdict))

  test('the median decides; what nobody measured is said to be so', () => {
    expect(verdicts([LOG])).toEqual(['met', 'missed', 'not measured'])
  })

  test('a quick run decides nothing', () => {
    expect(verdicts([{ ...LOG, quick: true }])).toEqual(['rough', 'rough', 'not measured'])
  })

  test('a unit that is not that of the target is a fault of the table', () => {
    expect(() => verdicts([measurementOf('log', [figureOf('rate', [1])])])).toThrow(
      'log/rate is in ms, its target in per s: correct bench/pages/targets.ts',
    )
  })

  test('a missed target wants a remark, a remark wants a missed target, of the table or of the bench itself', () => {
    const faults = (remarks: Record<string, typeof REMARK>, measurements = [LOG]) =>
      faultsOf(verdictsOf(GROUPS, measurements, remarks), measurements, remarks)
    expect(faults({})).toEqual(['log/time misses its target and has no remark: say its reason and the next step'])
    expect(faults({ 'log/time': REMARK })).toEqual([])
    expect(faults({ 'log/time': REMARK, 'log/rate': REMARK })).toEqual([
      'log/rate has a remark and misses no target: take the remark away, or correct its name',
    ])
    const own = measurementOf('api', [figureOf('page', [9], { target: 1 })])
    expect(faults({ 'log/time': REMARK, 'api/page': REMARK }, [LOG, own])).toEqual([])
  })

  test('a whole run without the figure of a target is a fault of the table; a quick run, or one without the peer, is none', () => {
    const groups: readonly TargetGroup[] = [
      {
        title: 'Writes',
        targets: [
          { text: 'rate', bench: 'log', figure: 'rat', better: 'higher', bound: 100, unit: 'per s' },
          { text: 'ratio', bench: 'log', figure: 'ratio-etcd-64', better: 'higher', bound: 5, unit: 'ratio' },
        ],
      },
    ]
    const faults = (one: Measurement) => faultsOf(verdictsOf(groups, [one], {}), [one], {})
    const met = measurementOf('log', [rate])
    const rat = 'log has no figure rat: correct its name in bench/pages/targets.ts'
    const ratio = 'log has no figure ratio-etcd-64: correct its name in bench/pages/targets.ts'
    expect(faults(met)).toEqual([rat])
    expect(faults({ ...met, quick: true })).toEqual([])
    const peer = { name: 'etcd', version: '3.4', skipped: null, configuration: [] } as const
    expect(faults({ ...met, peers: [peer].map(one => ({ ...one, configuration: [] })) })).toEqual([rat, ratio])
    expect(faults({ ...met, peers: [{ ...peer, skipped: 'not installed', configuration: [] }] })).toEqual([rat])
  })

  test.each([
    ['a: [', 'r.yaml:1: '],
    ['log/time: {reason: x}', 'r.yaml: log/time.next: '],
    ['log/time: {reason: x, next: y, nest: z}', 'r.yaml: log/time: '],
  ])('remarks that are not as they must be are refused: %s', (text, message) => {
    expect(() => remarksOf(text, 'r.yaml')).toThrow(message)
  })

  test('no remarks are no fault', () => {
    expect(remarksOf('# none yet\n', 'r.yaml')).toEqual({})
  })
})

describe('the page', () => {
  const PLOT: Plot = {
    ...{ name: 'rates', title: 'Rates', kind: 'bars' },
    points: [
      { figure: 'rate', series: 'Daybreak', label: '64' },
      { figure: 'never', series: 'etcd', label: '64' },
    ],
  }
  const peers: Measurement['peers'] = [
    { name: 'etcd', version: '3.4', skipped: null, configuration: ['fsync on'] },
    { name: 'zookeeper', version: null, skipped: 'not installed; run the script', configuration: [] },
  ]
  const page = (rest: Partial<Measurement> = {}) =>
    pagesOf([{ ...LOG, plots: [PLOT] as Measurement['plots'], peers, ...rest }], GROUPS, { 'log/time': REMARK })

  test('has the targets first, with what was measured beside them and why one was missed', () => {
    const { markdown } = page()
    const order = ['## Machine', '## Targets', '### Writes', '### Missed, and why', '## log'].map(at =>
      markdown.indexOf(at),
    )
    expect(order).toEqual([...order].sort((a, b) => a - b))
    expect(markdown).toContain('1 of 3 met, 1 missed, 1 not measured.')
    expect(markdown).toContain('| rate | ≥ 100 per s | 110 per s | 90 to 120 | met |')
    expect(markdown).toContain('| time | ≤ 5 ms | 7 ms | 6 to 8 | **missed** |')
    expect(markdown).toContain('| memory | ≤ 4 MiB |  |  | not measured |')
    expect(markdown).toContain('| etcd |  | 1 ms | once | for comparison |')
    expect(markdown).toContain('- **time** (`log/time`): it waits Next: wait less')
  })

  test('says how to repeat, on what it was measured, and each peer with its configuration or why it is missing', () => {
    const { markdown, pictures } = page()
    expect(markdown).toContain('npm run bench -- log --peers etcd,zookeeper --json bench/results/log.json')
    expect(markdown).toContain('- 2 × A Processor, 8,192 MiB, Linux 6.1.0, Node v20.20.0, data on ext4')
    expect(markdown).toContain('Measured 2026-01-02 03:04 UTC at commit abcdef012345; 5 runs')
    expect(markdown).toContain('**etcd** 3.4\n\n- fsync on')
    expect(markdown).toContain('**zookeeper** was skipped: not installed; run the script')
    expect(markdown).toContain('![Rates](benchmarks/log-rates.svg)')
    expect([...pictures.keys()]).toEqual(['log-rates.svg'])
  })

  test('a quick run is said to be one, at its bench and in the targets', () => {
    const { markdown } = page({ quick: true })
    expect(markdown).toContain('**A quick run: small sizes, rough figures. They decide nothing.**')
    expect(markdown).toContain('| rate | ≥ 100 per s | 110 per s | 90 to 120 | quick run: rough |')
    expect(markdown).not.toContain('**missed**')
  })

  test('says so when nothing was measured', () => {
    expect(pagesOf([], GROUPS, {}).markdown).toContain('**Nothing has been measured yet.**')
  })

  test('what a bench says does not break the table or become a tag', () => {
    expect(page({ title: 'a | b <img>\nc' }).markdown).toContain('\na \\| b &lt;img&gt; c.\n')
  })

  test('pictures of a plot of which nothing was measured are left out', () => {
    expect(page({ figures: [time] as Measurement['figures'] }).pictures.size).toBe(0)
  })
})

describe('a picture', () => {
  const plot = (kind: Plot['kind'], x?: number): Plot => ({
    ...{ name: 'p', title: 'A <title>', kind, xTitle: 'clients' },
    points: [
      { figure: 'rate', series: 'Daybreak', label: '1', ...(x === undefined ? {} : { x }) },
      { figure: 'time', series: 'etcd', label: '1', ...(x === undefined ? {} : { x: 64 * x }) },
    ],
  })
  const far = [rate, figureOf('time', [9_000], { unit: 'per s' })]

  test('is the same for the same figures, however many were drawn before', () => {
    const first = pictureOf('log', plot('bars'), far)
    pictureOf('log', plot('lines', 1), far)
    expect(pictureOf('log', plot('bars'), far)).toBe(first)
  })

  test('has white behind it, its unit at the axis, and its title as text', () => {
    const svg = pictureOf('log', plot('bars'), [rate])!
    expect(svg).toMatch(/<rect[^>]*fill="(#fff|#ffffff|rgb\(255,255,255\))"/)
    expect(svg).toContain('>per s</text>')
    expect(svg).toContain('A &lt;title&gt;')
    expect(svg).not.toContain('logarithmic')
  })

  test('has a logarithmic scale where values span decades, on both axes', () => {
    const svg = pictureOf('log', plot('lines', 1), far)!
    expect(svg).toContain('per s (logarithmic)')
    expect(svg).toContain('clients (logarithmic)')
  })

  test('a target is a dashed line with its value', () => {
    const svg = pictureOf('log', plot('bars'), [rate])!
    expect(svg).toMatch(/stroke="#c00000"[^>]*stroke-dasharray/)
    expect(svg).toContain('≥ 100')
  })

  describe('of many series', () => {
    const names = Array.from({ length: 12 }, (_, at) => `series-number-${at}`)
    const many = (kind: Plot['kind']): Plot => ({
      ...{ name: 'p', title: 'many', kind, xTitle: 'clients' },
      points: names.flatMap((series, at) => [
        { figure: `f${at}`, series, label: '1', x: 1 },
        { figure: `f${at}`, series, label: '2', x: 2 },
      ]),
    })
    const figures = names.map((_, at) => figureOf(`f${at}`, [100 + at], { unit: 'per s' }))
    const height = (svg: string) => Number(/^<svg[^>]*height="(\d+)"/.exec(svg)![1])
    /** From the top, of the text that ends one. */
    const placesOf = (svg: string, text: string) =>
      [...svg.matchAll(new RegExp(`translate\\([\\d.]+ ([\\d.]+)\\)"[^>]*>${text}</text>`, 'g'))].map(found =>
        Number(found[1]),
      )

    test('the names stand above the plot, which is as large as one of few series', () => {
      const svg = pictureOf('log', many('lines'), figures)!
      const few = pictureOf('log', plot('lines', 1), [rate])!
      const lowest = Math.max(...names.flatMap(name => placesOf(svg, name)))
      const top = Math.min(...placesOf(svg, '120'), ...placesOf(svg, '140'), ...placesOf(svg, '160'))
      expect(lowest + 16).toBeLessThan(top)
      expect(height(svg) - height(few)).toBe(top - 80)
    })

    test('each line has a colour or dashes of its own, each bar a colour or hatching', () => {
      const strokes = pictureOf('log', many('lines'), figures)!.matchAll(
        /<path d="M[\d.]+ [\d.]+L[\d.]+ [\d.]+" fill="none"[^>]* stroke-width="2"[^>]*>/g,
      )
      const looks = [...strokes].map(([path]) => path.replace(/ d="[^"]*"/, ''))
      expect(new Set(looks.filter(look => !look.includes('#dddddd'))).size).toBeGreaterThanOrEqual(names.length)
      const bars = pictureOf('log', many('bars'), figures)!
      expect(bars.match(/<pattern/g)?.length).toBeGreaterThan(0)
    })
  })

  test('figures of two units in one picture, or lines without places, are refused', () => {
    expect(() => pictureOf('log', plot('bars'), [rate, time])).toThrow(
      'plot log-p has figures in per s and ms: make two',
    )
    expect(() => pictureOf('log', plot('lines'), far)).toThrow('plot log-p: rate has no x')
  })
})
