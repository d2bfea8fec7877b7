// Writes docs/api/daybreak.thrift from the tables of the built program: `npm run idl`.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '..', 'docs', 'api')
const { idlText } = await import(join(import.meta.dirname, '..', 'dist', 'src', 'wire', 'thrift', 'idl.js'))
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'daybreak.thrift'), idlText())
