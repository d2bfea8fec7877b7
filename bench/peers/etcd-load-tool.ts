/** etcd's own load tool (`tools/benchmark put`): one process in Go with as many clients as there are writers. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { PeerRound } from './peer.ts'

export interface LoadToolRun {
  readonly program: string
  readonly addresses: readonly string[]
  readonly connections: number
  readonly writers: number
  readonly valueBytes: number
  readonly total: number
  /** It waits for ever for a server that is gone; after so long it is killed. */
  readonly msMax: number
}

/** Of what it complains, the last part: a connection that fails makes it talk without end. */
const COMPLAINT_MAX = 500

export function loadToolArgs({
  addresses,
  connections,
  writers,
  valueBytes,
  total,
}: Omit<LoadToolRun, 'program' | 'msMax'>): readonly string[] {
  return [
    'put',
    `--endpoints=${addresses.join(',')}`,
    `--conns=${Math.min(connections, writers)}`,
    `--clients=${writers}`,
    `--key-size=16`,
    `--key-space-size=${writers}`,
    `--val-size=${valueBytes}`,
    `--total=${total}`,
    '--precise',
  ]
}

/** A reason instead if a write failed. */
export async function runLoadTool(run: LoadToolRun): Promise<PeerRound | string> {
  const child = spawn(run.program, loadToolArgs(run), { stdio: ['ignore', 'pipe', 'pipe'] })
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  const late = setTimeout(end, run.msMax)
  let said = ''
  let complained = ''
  child.stdout.on('data', bytes => {
    said += bytes
  })
  child.stderr.on('data', bytes => {
    complained = (complained + bytes).slice(-COMPLAINT_MAX)
  })
  const [code, signal] = await once(child, 'close').finally(() => {
    clearTimeout(late)
    process.off('exit', end)
  })
  if (code !== 0) return `etcd's load tool ended with ${code ?? signal}: ${complained}`
  return readLoadTool(said, run.total)
}

/** Its summary; a reason instead if not all writes were accepted. Times are in seconds there. */
export function readLoadTool(text: string, total: number): PeerRound | string {
  const number = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? Number.NaN)
  const faults = /Error distribution:\s*([\s\S]*)/.exec(text)?.[1]?.trim()
  if (faults !== undefined && faults !== '') return `etcd's load tool had errors: ${faults.split('\n')[0]}`
  const perSecond = number(/Requests\/sec:\s*([\d.e+-]+)/)
  const p50Ms = 1_000 * number(/50% in ([\d.e+-]+) secs/)
  const p99Ms = 1_000 * number(/99% in ([\d.e+-]+) secs/)
  if (![perSecond, p50Ms, p99Ms].every(Number.isFinite)) {
    throw new Error(`etcd's load tool said what cannot be read:\n${text.slice(-1_000)}`)
  }
  return { perSecond, p50Ms, p99Ms, writes: total }
}
