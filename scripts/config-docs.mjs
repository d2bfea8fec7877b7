// Writes docs/operating/configuration.md from the schema of the built program: run `npm run build` first.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const { configurationPage } = await import(join(root, 'dist/src/runtime/config-docs.js'))
writeFileSync(join(root, 'docs/operating/configuration.md'), configurationPage())
