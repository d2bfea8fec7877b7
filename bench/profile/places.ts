/** Where a function of a profile stands in the sources: through the source maps beside what was built. */
import { existsSync, readFileSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { CallFrame, PlaceOf } from './frames.ts'

/** Paths are told from `root`. A file without a map is told as it is. */
export function placesFrom(root: string): PlaceOf {
  const maps = new Map<string, SourceMap | null>()
  return ({ url, lineNumber, columnNumber }: CallFrame): string => {
    if (url === '') return ''
    const path = url.startsWith('file:') ? fileURLToPath(url) : url
    if (!path.startsWith('/')) return path
    let map = maps.get(path)
    if (map === undefined) {
      map = mapOf(path)
      maps.set(path, map)
    }
    const entry = map?.findEntry(lineNumber, columnNumber)
    if (entry === undefined || !('originalSource' in entry)) return `${relative(root, path)}:${lineNumber + 1}`
    return `${relative(root, join(dirname(path), entry.originalSource))}:${entry.originalLine + 1}`
  }
}

function mapOf(path: string): SourceMap | null {
  if (!existsSync(`${path}.map`)) return null
  return new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')) as SourceMapPayload)
}
