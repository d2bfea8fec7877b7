/**
 * A disk of its own for every node, small enough to be filled: an image of ext4 on a loop device. The image is sparse and
 * the file that fills it is only reserved, so a full disk costs next to nothing.
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

export interface SmallDisks {
  /** On the disk of the member; not made yet. */
  dataDirOf(memberId: number): string
  /** To the last block. */
  fill(memberId: number): void
  free(memberId: number): void
  /** `keepData`: what is on them is copied to `node-<member id>` in the folder of the run. */
  remove(options: { readonly keepData: boolean }): void
}

/** A long run writes some hundred megabytes of log. */
const DISK_BYTES = 2 * 1024 * 1024 * 1024
const BLOCK = Buffer.alloc(4_096)

const dataOn = (path: string): string => join(path, 'data')

/** Or why there cannot be any here. Nothing stays behind. */
export function makeSmallDisks(folder: string, count: number): SmallDisks | string {
  if (process.getuid?.() !== 0) return 'only root can mount a small disk'
  const made: string[][] = []
  const pathOf = (memberId: number): string => join(folder, `disk-${memberId}`)
  const imageOf = (memberId: number): string => join(folder, `disk-${memberId}.img`)
  const fillerOf = (memberId: number): string => join(pathOf(memberId), 'filler')
  const remove: SmallDisks['remove'] = ({ keepData }) => {
    for (let id = 1; keepData && id <= count; id++) {
      const data = dataOn(pathOf(id))
      if (existsSync(data)) cpSync(data, join(folder, `node-${id}`), { recursive: true })
    }
    for (const undo of made.splice(0).reverse()) {
      // Whoever still has a file open in it keeps it until then.
      if (spawnSync(undo[0]!, undo.slice(1)).status !== 0) spawnSync('umount', ['-l', ...undo.slice(1)])
    }
    for (let id = 1; id <= count; id++) rmSync(imageOf(id), { force: true })
  }
  try {
    for (let id = 1; id <= count; id++) {
      writeFileSync(imageOf(id), '')
      truncateSync(imageOf(id), DISK_BYTES)
      // No share for root alone, a small journal, few inodes: what is free is free for all.
      run('mkfs.ext4', '-q', '-F', '-m', '0', '-N', '2048', '-J', 'size=8', imageOf(id))
      mkdirSync(pathOf(id))
      run('mount', '-o', 'loop,noinit_itable', imageOf(id), pathOf(id))
      made.push(['umount', pathOf(id)])
    }
    run('fallocate', '--version')
  } catch (cause) {
    remove({ keepData: false })
    return (cause as Error).message
  }
  return {
    dataDirOf: memberId => dataOn(pathOf(memberId)),
    fill(memberId) {
      const { bavail, bsize } = statfsSync(pathOf(memberId))
      // What the system needs for the file itself is not counted in what is free: less, and the rest block by block.
      run('fallocate', '-l', String(Math.max(1, bavail * bsize - 1024 * 1024)), fillerOf(memberId))
      const file = openSync(fillerOf(memberId), 'a')
      try {
        for (;;) writeSync(file, BLOCK)
      } catch (cause) {
        if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause
      } finally {
        closeSync(file)
      }
    },
    free: memberId => rmSync(fillerOf(memberId), { force: true }),
    remove,
  }
}

function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error !== undefined) throw new Error(`the tool \`${command}\` is not there`)
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr.trim()}`)
}
