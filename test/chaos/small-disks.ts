/**
 * A disk of its own for every node, small enough to be filled, and with a power cord to pull: an image of ext4 on a loop
 * device. The image is sparse and the file that fills it is only reserved, so a full disk costs next to nothing.
 */
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { projectRoot } from '../fixtures/real-node.ts'

export interface SmallDisks {
  /** On the disk of the member; not made yet. */
  dataDirOf(memberId: number): string
  /** To the last block. */
  fill(memberId: number): void
  free(memberId: number): void
  /** Why its power cannot be cut, or null. */
  readonly noPowerCut: string | null
  /** Nothing reaches the disk from here on, and what was written and not flushed never does. */
  cutPower(memberId: number): void
  /** Mounted again, as after a boot. Nobody may have a file open in it. */
  restorePower(memberId: number): void
  /** `keepData`: what is on them is copied to `node-<member id>` in the folder of the run. */
  remove(options: { readonly keepData: boolean }): void
}

/** A long run writes some hundred megabytes of log. */
const DISK_BYTES = 2 * 1024 * 1024 * 1024
const BLOCK = Buffer.alloc(4_096)
/** For the file that fills a disk itself, which is not counted in what is free. */
const BOOKKEEPING_BYTES = 1024 * 1024

/** Or why there cannot be any here. Nothing stays behind. */
export function makeSmallDisks(folder: string, count: number): SmallDisks | string {
  if (process.getuid?.() !== 0) return 'only root can mount a small disk'
  const disks = Array.from({ length: count }, (_none, at) => new SmallDisk(folder, at + 1))
  const diskOf = (memberId: number): SmallDisk => disks[memberId - 1]!
  const remove: SmallDisks['remove'] = ({ keepData }) => {
    for (const disk of disks) disk.remove(keepData)
  }
  try {
    run('fallocate', '--version')
    for (const disk of disks) disk.make()
  } catch (cause) {
    remove({ keepData: false })
    return (cause as Error).message
  }
  const cutter = join(folder, 'power-cut')
  return {
    dataDirOf: memberId => diskOf(memberId).dataDir,
    fill: memberId => diskOf(memberId).fill(),
    free: memberId => diskOf(memberId).free(),
    noPowerCut: powerCutFault(cutter, disks),
    cutPower: memberId => diskOf(memberId).cutPower(cutter),
    restorePower: memberId => diskOf(memberId).restorePower(),
    remove,
  }
}

/** Builds what cuts the power, and tries it while the disks are still empty. */
function powerCutFault(cutter: string, disks: readonly SmallDisk[]): string | null {
  try {
    run('cc', '-O2', '-o', cutter, join(projectRoot, 'test', 'chaos', 'power-cut.c'))
    for (const disk of disks.slice(0, 1)) {
      disk.cutPower(cutter)
      disk.restorePower()
    }
    return null
  } catch (cause) {
    return (cause as Error).message
  }
}

class SmallDisk {
  readonly dataDir: string
  readonly #copyTo: string
  readonly #image: string
  readonly #path: string
  readonly #filler: string
  #isMounted = false
  #hasPower = true

  constructor(folder: string, memberId: number) {
    this.#path = join(folder, `disk-${memberId}`)
    this.#image = join(folder, `disk-${memberId}.img`)
    this.#filler = join(this.#path, 'filler')
    this.#copyTo = join(folder, `node-${memberId}`)
    this.dataDir = join(this.#path, 'data')
  }

  make(): void {
    writeFileSync(this.#image, '')
    truncateSync(this.#image, DISK_BYTES)
    // No share for root alone, a small journal, few inodes: what is free is free for all.
    run('mkfs.ext4', '-q', '-F', '-m', '0', '-N', '2048', '-J', 'size=8', this.#image)
    mkdirSync(this.#path)
    this.#mount()
  }

  fill(): void {
    const { bavail, bsize } = statfsSync(this.#path)
    run('fallocate', '-l', String(Math.max(1, bavail * bsize - BOOKKEEPING_BYTES)), this.#filler)
    const file = openSync(this.#filler, 'a')
    try {
      for (;;) writeSync(file, BLOCK)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.#filler, { force: true })
  }

  cutPower(cutter: string): void {
    run(cutter, this.#path)
    this.#hasPower = false
  }

  restorePower(): void {
    run('umount', this.#path)
    this.#isMounted = false
    this.#mount()
    this.#hasPower = true
  }

  remove(keepData: boolean): void {
    if (this.#isMounted) {
      if (keepData) this.#copy()
      // Whoever still has a file open in it keeps it until then.
      if (spawnSync('umount', [this.#path]).status !== 0) spawnSync('umount', ['-l', this.#path])
      this.#isMounted = false
    }
    rmSync(this.#image, { force: true })
  }

  /** For whoever looks for what went wrong: what cannot be read any more must not keep the disk mounted. */
  #copy(): void {
    try {
      if (!this.#hasPower) this.restorePower()
      if (existsSync(this.dataDir)) cpSync(this.dataDir, this.#copyTo, { recursive: true })
    } catch (cause) {
      writeFileSync(`${this.#copyTo}.lost`, `the data could not be copied: ${(cause as Error).message}\n`)
    }
  }

  #mount(): void {
    run('mount', '-o', 'loop,noinit_itable', this.#image, this.#path)
    this.#isMounted = true
  }
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`the tool \`${command}\` is not there`)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim()}`)
}
