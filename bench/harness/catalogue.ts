/** Which benchmarks there are: every `bench/<name>.bench.ts`. */
import { readdirSync } from 'node:fs'
import type { Bench } from '../bench.ts'

/** Sorted by file name. Throws if a file does not export `bench`. */
export async function findBenches(): Promise<readonly Bench[]> {
  const folder = new URL('../', import.meta.url)
  const files = readdirSync(folder).filter(file => /\.bench\.(js|ts)$/.test(file))
  const found: Bench[] = []
  for (const file of files.sort()) {
    const module = (await import(new URL(file, folder).href)) as { readonly bench?: Bench }
    if (module.bench === undefined) throw new Error(`bench/${file} does not export a constant named bench`)
    found.push(module.bench)
  }
  return found
}

/** One line each, with the peers that can be measured beside it. */
export function listOf(benches: readonly Bench[]): readonly string[] {
  const width = Math.max(0, ...benches.map(({ name }) => name.length))
  return benches.map(({ name, title, isLong = false, peers = [] }) => {
    const beside = peers.length === 0 ? '' : ` [peers: ${peers.join(', ')}]`
    return `  ${name.padEnd(width)} ${title}${beside}${isLong ? ' [not in all: it takes long]' : ''}`
  })
}
