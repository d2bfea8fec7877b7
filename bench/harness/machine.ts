/** The machine that measures: a figure without it says nothing. */
import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, mkdtempSync, openSync, readFileSync, realpathSync, rmSync, writeSync } from 'node:fs'
import { cpus, loadavg, release, tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { percentile } from '../bench.ts'
import type { Disk, Machine } from './report.ts'
import { shown } from './table.ts'

const MIB = 1_048_576
const FLUSHES = 21
const FLUSH_BYTES = 4_096

/** Flushes a small file a few times, for what durable figures are to be held against. */
export function machine(): Machine {
  const processors = cpus()
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryMiB: Math.round(totalmem() / MIB),
    kernel: release(),
    node: process.version,
    disk: disk(process.env.DAYBREAK_BENCH_DIR ?? tmpdir()),
  }
}

export function machineLine({ cpu, cores, memoryMiB, kernel, node, disk }: Machine): string {
  const flush = `a flush of 4 KiB takes ${shown(disk.flushMs)} ms`
  return `${cores} × ${cpu}, ${shown(memoryMiB)} MiB, Linux ${kernel}, Node ${node}, data on ${disk.fileSystem} where ${flush}`
}

/** Runnable threads over the last minute, as the kernel counts. */
export function load(): number {
  return loadavg()[0] ?? 0
}

/** The commit that the program was built from, `-dirty` if files differ from it; null outside a git tree. */
export function commit(): string | null {
  try {
    const git = ['describe', '--always', '--dirty', '--exclude=*', '--abbrev=12']
    return execFileSync('git', git, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return null
  }
}

function disk(folder: string): Disk {
  return {
    fileSystem: fileSystemOf(realpathSync(folder), readFileSync('/proc/mounts', 'utf8')),
    flushMs: flush(folder),
  }
}

/** The type of the mount that the folder is on: the last one of those whose place is the longest. */
export function fileSystemOf(folder: string, mounts: string): string {
  let [length, found] = [-1, 'unknown']
  for (const line of mounts.split('\n')) {
    const [, place, type] = line.split(' ')
    if (place === undefined || type === undefined) continue
    const holds = place === '/' || folder === place || folder.startsWith(`${place}/`)
    if (holds && place.length >= length) [length, found] = [place.length, type]
  }
  return found
}

/** Median milliseconds from a write of 4 KiB to its flush. */
function flush(folder: string): number {
  const own = mkdtempSync(join(folder, 'daybreak-bench-flush-'))
  try {
    const file = openSync(join(own, 'flushed'), 'w')
    const bytes = Buffer.alloc(FLUSH_BYTES, 1)
    const tookMs = Array.from({ length: FLUSHES }, () => {
      const began = performance.now()
      writeSync(file, bytes)
      fdatasyncSync(file)
      return performance.now() - began
    })
    closeSync(file)
    return Number(percentile(tookMs, 0.5).toPrecision(3))
  } finally {
    rmSync(own, { recursive: true, force: true })
  }
}
