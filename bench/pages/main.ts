/**
 * `npm run bench:docs`: makes `docs/benchmarks.md` and `docs/benchmarks/*.svg` of what lies in `bench/results`. Exit status
 * 1 if a missed target has no remark there, or a remark no missed target; the pages are written all the same.
 */
import { readResults, writePages } from './folder.ts'
import { pagesOf } from './page.ts'
import { TARGETS } from './targets.ts'
import { faultsOf } from './verdict.ts'

const root = process.cwd()
const { measurements, remarks } = readResults(root)
const pages = pagesOf(measurements, TARGETS, remarks)
writePages(root, pages)
console.log(`docs/benchmarks.md: ${measurements.length} benches, ${pages.pictures.size} pictures`)
const faults = faultsOf(pages.verdicts, measurements, remarks)
for (const fault of faults) console.error(`bench/results/remarks.yaml: ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0
