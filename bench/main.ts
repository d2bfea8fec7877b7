/**
 * Runs benchmarks: `npm run bench` lists them, `npm run bench -- NAME… [--quick] [--json FILE]` runs some, `all` runs
 * every one. The machine is named with the figures, because a figure without its machine says nothing. Exit status 0
 * also when a target is missed: that is a finding and is printed as such.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { cpus, freemem, loadavg, release, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Bench, BenchOptions, BenchResult, Figure } from './bench.ts'

const MIB = 1_048_576

interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryMiB: number
  readonly memoryFreeMiB: number
  readonly kernel: string
  readonly node: string
  /** One-minute load before the first run: the figures of a busy machine are low. */
  readonly loadBefore: number
}

/** The shape of `--json`, the same for every benchmark. */
interface BenchReport {
  readonly format: 1
  readonly startedAt: string
  readonly quick: boolean
  readonly machine: Machine
  readonly benches: readonly (BenchResult & {
    readonly name: string
    readonly title: string
    readonly tookMs: number
  })[]
}

function machine(): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / MIB),
    memoryFreeMiB: Math.round(freemem() / MIB),
    kernel: release(),
    node: process.version,
    loadBefore: loadavg()[0] ?? 0,
  }
}

async function findBenches(): Promise<readonly Bench[]> {
  const folder = dirname(fileURLToPath(import.meta.url))
  const files = readdirSync(folder).filter(file => /\.bench\.(js|ts)$/.test(file))
  const found: Bench[] = []
  for (const file of files.sort()) {
    const module = (await import(new URL(file, import.meta.url).href)) as { readonly bench?: Bench }
    if (module.bench === undefined) throw new Error(`bench/${file} does not export a constant named bench`)
    found.push(module.bench)
  }
  return found
}

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const fine = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
const shown = (value: number): string => (Math.abs(value) >= 1_000 ? whole : fine).format(value)

function figureLine(figure: Figure, nameWidth: number): string {
  const sign = figure.better === 'higher' ? '≥' : '≤'
  const target =
    figure.target === undefined ? '' : `target ${sign} ${shown(figure.target)}: ${figure.met ? 'met' : 'MISSED'}`
  const range = `(${shown(figure.min)} to ${shown(figure.max)})`
  const line = [
    figure.name.padEnd(nameWidth),
    shown(figure.median).padStart(12),
    figure.unit.padEnd(13),
    range.padEnd(26),
    target,
  ]
  return `  ${line.join(' ')}`.trimEnd()
}

function show(result: BenchResult): void {
  const nameWidth = Math.max(0, ...result.figures.map(figure => figure.name.length))
  console.log(`  ${'figure'.padEnd(nameWidth)} ${'median'.padStart(12)} ${'unit'.padEnd(13)} (least to most)`)
  for (const figure of result.figures) console.log(figureLine(figure, nameWidth))
  for (const note of result.notes) console.log(`  - ${note}`)
}

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { quick: { type: 'boolean', default: false }, json: { type: 'string' } },
    allowPositionals: true,
  })
  const all = await findBenches()
  if (positionals.length === 0) {
    console.log('Benchmarks; run one with `npm run bench -- NAME [--quick] [--json FILE]`, or `all`:')
    for (const bench of all) console.log(`  ${bench.name.padEnd(10)} ${bench.title}`)
    return 0
  }
  const unknown = positionals.filter(name => name !== 'all' && !all.some(bench => bench.name === name))
  if (unknown.length > 0) {
    console.error(
      `no benchmark named ${unknown.join(', ')}; there are: ${all.map(bench => bench.name).join(', ')}, all`,
    )
    return 2
  }
  const report = { format: 1, startedAt: new Date().toISOString(), quick: values.quick, machine: machine() } as const
  const { cpu, cores, memoryMiB, kernel, node, loadBefore } = report.machine
  console.log(
    `${cores} × ${cpu}, ${memoryMiB} MiB, Linux ${kernel}, Node ${node}, load ${fine.format(loadBefore)} before`,
  )
  const options: BenchOptions = {
    quick: values.quick,
    runs: values.quick ? 3 : 5,
    say: line => console.error(`  … ${line}`),
    peers: [],
  }
  const benches: BenchReport['benches'][number][] = []
  for (const bench of all.filter(({ name }) => positionals.includes('all') || positionals.includes(name))) {
    console.log(`\n${bench.name}: ${bench.title}`)
    const beganMs = performance.now()
    const result = await bench.run(options)
    show(result)
    benches.push({ name: bench.name, title: bench.title, tookMs: Math.round(performance.now() - beganMs), ...result })
  }
  if (values.json !== undefined) {
    const whole: BenchReport = { ...report, benches }
    writeFileSync(values.json, `${JSON.stringify(whole, null, 2)}\n`)
  }
  return 0
}

process.exitCode = await main(process.argv.slice(2))
