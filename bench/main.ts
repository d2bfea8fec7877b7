/**
 * Runs benchmarks: `npm run bench` lists them, `npm run bench -- NAME… [--quick] [--runs N] [--peers LIST] [--json FILE]
 * [--against FILE] [--profile [DIR]]` runs some, `all` every one but those that take an hour.
 *
 * Exit status: 0 when all ran, also if a target is missed, which is a finding and is printed as such; 1 when a bench
 * threw; 2 when the order cannot be carried out; 3 when all ran and a figure is worse than in `--against`.
 */
import { findBenches, listOf } from './harness/catalogue.ts'
import { checkFiles } from './harness/checks.ts'
import { compared, comparisonLines } from './harness/comparison.ts'
import { OrderError, orderOf } from './harness/order.ts'
import { runBenches } from './harness/session.ts'
import { PROFILE_VARIABLE } from './profile/profiler.ts'

async function main(args: readonly string[]): Promise<number> {
  if (process.env[PROFILE_VARIABLE] !== undefined) {
    throw new OrderError(`${PROFILE_VARIABLE} is set, and is not for users: unset it and give --profile DIR`)
  }
  const all = await findBenches()
  const order = orderOf(args, all)
  if (order.benches.length === 0) {
    console.log('Benchmarks; run some with `npm run bench -- NAME…`, or `all`; options are in bench/README.md:')
    for (const line of listOf(all)) console.log(line)
    return 0
  }
  const earlier = checkFiles(order)
  const measurements = await runBenches(order, { print: line => console.log(line), say: line => console.error(line) })
  const comparison = earlier === null ? null : compared(earlier, measurements)
  if (comparison !== null) for (const line of comparisonLines(comparison, order.against ?? '')) console.log(line)
  const failed = measurements.filter(({ failed }) => failed !== null).map(({ bench }) => bench)
  if (failed.length > 0) {
    console.error(`failed: ${failed.join(', ')}`)
    return 1
  }
  return comparison?.changes.some(({ verdict }) => verdict === 'worse') ? 3 : 0
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (cause) {
  if (!(cause instanceof OrderError)) throw cause
  console.error(cause.message)
  process.exitCode = 2
}
