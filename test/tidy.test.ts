/** The rules of the house that a compiler does not see. Each broken rule says what to do instead. */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { describe, expect, test } from 'vitest'

interface Source {
  path: string
  /** Without comments and the contents of strings. */
  code: string
  /** As it is. */
  text: string
}

interface Locked {
  optionalDependencies?: Record<string, string>
  engines?: { node?: string }
}

const root = join(import.meta.dirname, '..')

function sources(folder: string, ends: readonly string[] = ['.ts']): Source[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => ends.some(end => name.endsWith(end)))
    .map(name => {
      const path = join(folder, name)
      const text = readFileSync(join(root, path), 'utf8')
      return { path, text, code: withoutComments(text) }
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1))
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`\\])\/\/[^\n]*/g, '$1')
}

const importsOf = (source: Source): string[] =>
  [...source.code.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map(match => match[1] ?? '')

/** `src/core/task/x.ts` importing `../../wire/y.ts` gives `wire`; a package gives its name. */
function target(source: Source, specifier: string): { layer: string } | { module: string } {
  if (!specifier.startsWith('.')) return { module: specifier }
  const path = relative(join(root, 'src'), join(root, source.path, '..', specifier))
  return { layer: path.split('/')[0] ?? '' }
}

const LAYERS: Record<string, { layers: string[]; modules: RegExp; instead: string }> = {
  core: { layers: ['core'], modules: /^$/, instead: 'core imports only core: take it as an argument' },
  wire: {
    layers: ['wire', 'core'],
    modules: /^(msgpackr|zod|yaml)$/,
    instead: 'wire knows core, msgpackr, zod and yaml',
  },
  actors: { layers: ['actors', 'core', 'wire'], modules: /^$/, instead: 'the world arrives in actors as ports' },
  runtime: { layers: ['runtime', 'actors', 'core', 'wire'], modules: /./, instead: 'runtime knows all but the client' },
  cli: { layers: ['cli', 'core', 'wire'], modules: /./, instead: 'the client talks to a node over HTTP' },
}
/** nact has one home; these commands run on the machine of the node itself. */
const MAY_ALSO: [RegExp, (found: { layer: string } | { module: string }) => boolean][] = [
  [/^src\/actors\/shell/, found => 'module' in found && found.module === 'nact'],
  [/^src\/cli\/(start|config|log|backup-file|security)/, found => 'layer' in found && found.layer === 'runtime'],
]

const BANNED_IN_CORE: [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\(\)|\bperformance\b/, 'take `now` as an argument'],
  [/\bMath\.random\b|\bcrypto\b\./, 'draw from the prng that is handed in'],
  [
    /\bawait\b|\basync\b|\bconsole\.|\bset(Timeout|Interval|Immediate)\b|\bprocess\.(env|exit|argv|pid|hrtime|nextTick|memoryUsage|cwd|std|on|kill)/,
    'return an effect',
  ],
  [/\.localeCompare\b|\btoLocale/, 'compare with compareIds: the same on every machine'],
]

describe('tidy', () => {
  test('imports go in their direction', () => {
    const found = sources('src').flatMap(source => {
      const layer = source.path.split('/')[1] ?? ''
      const rule = LAYERS[layer]
      if (rule === undefined) return [`${source.path}: there is no layer ${layer}`]
      return importsOf(source).flatMap(specifier => {
        const to = target(source, specifier)
        const allowed = 'layer' in to ? rule.layers.includes(to.layer) : rule.modules.test(to.module)
        if (allowed || MAY_ALSO.some(([path, may]) => path.test(source.path) && may(to))) return []
        return [`${source.path} imports ${specifier}: ${rule.instead}`]
      })
    })
    expect(found).toEqual([])
  })

  test('core is pure: no clock, no chance, no waiting, no output', () => {
    const found = sources('src/core').flatMap(source =>
      BANNED_IN_CORE.filter(([banned]) => banned.test(source.code)).map(([, instead]) => `${source.path}: ${instead}`),
    )
    expect(found).toEqual([])
  })

  test('actors have no clock or chance of their own; the shell of the real node alone may wait on the event loop', () => {
    const banned = /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bset(Timeout|Interval)\b/
    const found = sources('src/actors')
      .filter(source => banned.test(source.code) && source.path !== 'src/actors/shell.ts')
      .map(source => source.path)
    expect(found).toEqual([])
  })

  test('nact has one home', () => {
    const found = sources('src')
      .filter(source => importsOf(source).includes('nact') && !source.path.startsWith('src/actors/shell'))
      .map(source => source.path)
    expect(found).toEqual([])
  })

  test('no unfinished work, no tests left out', () => {
    const folders = ['src', 'test', 'bench', 'scripts']
    const marks = new RegExp(['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'not ' + 'implemented'].join('|'))
    const leftOut = /\b(test|it|describe)\.(only|skip|todo)\(/
    const found = folders
      .flatMap(folder => sources(folder, ['.ts', '.mjs', '.sh']))
      .filter(source => marks.test(source.text) || leftOut.test(source.code))
      .map(source => source.path)
    expect(found).toEqual([])
  })

  test('files are kebab-case nouns and none is called utils, helpers, common or manager', () => {
    const found = sources('src')
      .map(source => source.path.split('/').at(-1) ?? '')
      .filter(name => !/^[a-z0-9]+(-[a-z0-9]+)*\.ts$/.test(name) || /utils?|helpers?|common|manager/.test(name))
    expect(found).toEqual([])
  })

  test('docs name only files that exist', () => {
    const found = [
      ...sources('docs', ['.md']),
      ...['README.md', 'CONTRIBUTING.md'].map(path => ({ path, text: readFileSync(join(root, path), 'utf8') })),
    ]
      .flatMap(page =>
        [...page.text.matchAll(/`((?:src|test|config|examples|bench|scripts|docs)\/[\w./-]+\.\w+)`/g)].map(match => [
          page.path,
          match[1] ?? '',
        ]),
      )
      .filter(([, path]) => {
        try {
          readFileSync(join(root, path ?? ''))
          return false
        } catch {
          return true
        }
      })
      .map(([page, path]) => `${page} names ${path}, which is not there`)
    expect(found).toEqual([])
  })

  test('the lock file names what every platform would install, and all of it runs on Node 20: else npm ci refuses', () => {
    const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Locked>
    }
    const isThere = (from: string, name: string): boolean => {
      const inside = `${from === '' ? '' : `${from}/`}node_modules/${name}`
      if (lock.packages[inside] !== undefined) return true
      return from !== '' && isThere(from.slice(0, Math.max(0, from.lastIndexOf('/node_modules/'))), name)
    }
    const found = Object.entries(lock.packages).flatMap(([path, { optionalDependencies = {}, engines }]) => [
      ...Object.keys(optionalDependencies)
        .filter(name => !isThere(path, name))
        .map(name => `${path}: its optional ${name} has no entry; npm leaves it out when the registry does not answer`),
      ...(/^>=? ?2[1-9]/.test(engines?.node ?? '') ? [`${path} wants Node ${engines?.node}`] : []),
    ])
    expect(found).toEqual([])
  })
})
