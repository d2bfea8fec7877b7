/** `npm run fuzz`: a million broken messages at the Thrift interface. Prints what was met, and each failure with its bytes. */
import { parseArgs } from 'node:util'
import { fuzzThrift } from '../test/fuzz/thrift-fuzz.ts'

const HELP = `npm run fuzz -- [--inputs 1000000] [--seed N] [--handled-one-in 10]

  --inputs N          how many inputs (default 1,000,000)
  --seed N            the inputs are drawn from it (default: by chance; printed)
  --handled-one-in N  every so many also go through HTTP to the handlers (default 10)
`

const { values: flags } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string' },
    'handled-one-in': { type: 'string', default: '10' },
    help: { type: 'boolean', default: false },
  },
})

const say = (line: string): void => void process.stdout.write(`${line}\n`)

if (flags.help) say(HELP)
else await run()

async function run(): Promise<void> {
  const seed = flags.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : count('seed', flags.seed)
  const inputs = count('inputs', flags.inputs)
  const startedMs = performance.now()
  const heapBefore = heapMb()
  const report = await fuzzThrift({
    seed,
    inputs,
    handledOneIn: Math.max(1, count('handled-one-in', flags['handled-one-in'])),
    onProgress: done => {
      if (done % 100_000 < 10_000 && process.stdout.isTTY) process.stdout.write(`\r${done} of ${inputs}`)
    },
  })
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  say(`\n${report.inputs} inputs, ${report.handled} of them through the handlers, in ${seconds} s; seed ${seed}`)
  say(`codec: ${countsText(report.read)}; slowest ${report.slowestMs.toFixed(1)} ms`)
  say(`answers: ${countsText(report.answers)}`)
  say(`heap: ${heapBefore} MB before, ${heapMb()} MB after`)
  for (const { what, made, protocol, bytes } of report.failures)
    say(`FAILED ${what}\n  ${protocol}: ${made}\n  ${bytes}`)
  process.exit(report.failures.length === 0 ? 0 : 1)
}

function heapMb(): number {
  globalThis.gc?.()
  return Math.round(process.memoryUsage().heapUsed / 1e6)
}

function countsText(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([name, number]) => `${name} ${number}`)
    .join(', ')
}

function count(name: string, text: string): number {
  const number = Number(text)
  if (Number.isSafeInteger(number) && number >= 0) return number
  say(`--${name} takes a whole number, not '${text}'`)
  process.exit(2)
}
