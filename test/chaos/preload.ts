/**
 * Flushes that are slow or fail, and wall clocks that are wrong, for real processes: `preload.c`, built where there is a
 * C compiler, goes before libc in every node and reads its orders from a file that each node has of its own. The
 * machine's clock and disks are never touched.
 */
import { spawnSync } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../fixtures/real-node.ts'

export interface Preload {
  env(memberId: number): Record<string, string>
  /** Lines as `preload.c` knows them; none: all is as it should be. */
  order(memberId: number, ...lines: readonly string[]): void
}

const AN_HOUR_S = 3_600
const TRY = `
const { fsyncSync, openSync } = require('node:fs')
let code = 'flushed'
try { fsyncSync(openSync(process.argv[1], 'r')) } catch (cause) { code = cause.code }
console.log(code, Date.now())`

/** Or why there is none here. */
export function makePreload(folder: string): Preload | string {
  const library = join(folder, 'preload.so')
  const source = join(projectRoot, 'test', 'chaos', 'preload.c')
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O2', '-o', library, source, '-ldl', '-lpthread'], {
    encoding: 'utf8',
  })
  if (built.error !== undefined) return 'there is no C compiler `cc` here'
  if (built.status !== 0) return `cc does not build ${source}: ${built.stderr.trim().split('\n')[0]}`
  const controlOf = (who: number | 'try'): string => join(folder, `node-${who}.orders`)
  const env = (who: number | 'try'): Record<string, string> => ({
    LD_PRELOAD: library,
    DAYBREAK_CHAOS_CONTROL: controlOf(who),
  })
  const order = (who: number | 'try', ...lines: readonly string[]): void => {
    const path = controlOf(who)
    // Whole or not at all: it is read at any moment.
    writeFileSync(`${path}.new`, lines.map(line => `${line}\n`).join(''))
    renameSync(`${path}.new`, path)
  }
  order('try', 'flush-fail EIO', `realtime-offset-s ${AN_HOUR_S}`)
  const tried = spawnSync(process.execPath, ['-e', TRY, source], {
    encoding: 'utf8',
    env: { ...process.env, ...env('try') },
  })
  const [code, wallMs] = tried.stdout.trim().split(' ')
  const isAhead = Math.abs(Number(wallMs) - Date.now() - AN_HOUR_S * 1_000) < 60_000
  return code === 'EIO' && isAhead ? { env, order } : 'what is preloaded does not reach Node here'
}
