/** The version of a package as it is installed here, from its own package.json. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../test/fixtures/real-node.ts'

export function packageVersion(name: string): string {
  const text = readFileSync(join(projectRoot, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}
