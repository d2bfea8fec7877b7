/** Where results and pages lie in the tree. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Measurement, merged, readReport } from '../harness/report.ts'
import type { Pages } from './page.ts'
import { type Remarks, remarksOf } from './verdict.ts'

export interface Results {
  readonly measurements: readonly Measurement[]
  readonly remarks: Remarks
}

/** What `bench/results` below `root` holds. Throws with the name of the file that cannot be used. */
export function readResults(root: string): Results {
  const folder = join(root, 'bench', 'results')
  const files = existsSync(folder) ? readdirSync(folder).filter(name => name.endsWith('.json')) : []
  const remarks = join(folder, 'remarks.yaml')
  return {
    measurements: merged(files.sort().map(name => readReport(join(folder, name)))),
    remarks: existsSync(remarks) ? remarksOf(readFileSync(remarks, 'utf8'), 'bench/results/remarks.yaml') : {},
  }
}

/** Writes the page and its pictures, and takes away pictures that it no longer has. */
export function writePages(root: string, { markdown, pictures }: Pages): void {
  const folder = join(root, 'docs', 'benchmarks')
  writeFileSync(join(root, 'docs', 'benchmarks.md'), markdown)
  rmSync(folder, { recursive: true, force: true })
  if (pictures.size > 0) mkdirSync(folder, { recursive: true })
  for (const [name, svg] of pictures) writeFileSync(join(folder, name), svg)
}

/** What is checked in, in the same shape as what would be written. */
export function readPages(root: string): Pick<Pages, 'markdown' | 'pictures'> {
  const folder = join(root, 'docs', 'benchmarks')
  const names = existsSync(folder) ? readdirSync(folder).sort() : []
  return {
    markdown: readFileSync(join(root, 'docs', 'benchmarks.md'), 'utf8'),
    pictures: new Map(names.map(name => [name, readFileSync(join(folder, name), 'utf8')])),
  }
}
