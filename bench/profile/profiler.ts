/** `--profile`: a CPU profile of this process, and pictures and lists of all that a bench leaves in its folder. */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { join } from 'node:path'
import { flameSvg } from './flame.ts'
import { type CpuProfile, framesOf, hottest, type PlaceOf } from './frames.ts'

/**
 * How the folder reaches the processes that a bench starts, and the code that starts them: each leaves its profiles there
 * as `.cpuprofile`. Set while a bench runs under `--profile`, and only by it.
 */
export const PROFILE_VARIABLE = 'DAYBREAK_BENCH_PROFILE'
const HOTTEST = 15

/** Runs `work` with the variable set, and leaves a profile of this thread as `bench.cpuprofile`. */
export async function profiledHere<T>(folder: string, work: () => Promise<T>): Promise<T> {
  mkdirSync(folder, { recursive: true })
  process.env[PROFILE_VARIABLE] = folder
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.start')
    try {
      return await work()
    } finally {
      const { profile } = await session.post('Profiler.stop')
      writeFileSync(join(folder, 'bench.cpuprofile'), JSON.stringify(profile))
    }
  } finally {
    session.disconnect()
    delete process.env[PROFILE_VARIABLE]
  }
}

/**
 * Names of the profiles in a folder and those below, without their ending. Those that Node has named by day, time, process,
 * thread and number are called by process and thread from then on: `node-1/2024-main`, `node-1/2024-thread-1`.
 */
export function profilesIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith('.cpuprofile'))
    .map(name => {
      const called = name.replace(NAMED_BY_NODE, (_, pid: string, thread: string) => {
        return `${pid}-${thread === '0' ? 'main' : `thread-${thread}`}.cpuprofile`
      })
      if (called !== name) renameSync(join(folder, name), join(folder, called))
      return called.slice(0, -'.cpuprofile'.length)
    })
    .sort()
}

const NAMED_BY_NODE = /\bCPU\.\d+\.\d+\.(\d+)\.(\d+)\.\d+\.cpuprofile$/

/** Draws `<name>.svg` beside each profile; answers the lines to print. */
export function drawProfiles(folder: string, names: readonly string[], placeOf: PlaceOf): readonly string[] {
  return names.flatMap(name => {
    const text = readFileSync(join(folder, `${name}.cpuprofile`), 'utf8')
    let profile: CpuProfile
    try {
      profile = JSON.parse(text) as CpuProfile
    } catch {
      return [`profile ${name}: not whole; its process was killed while it wrote`]
    }
    const tree = framesOf(profile, placeOf)
    writeFileSync(join(folder, `${name}.svg`), flameSvg(name, tree))
    const { root, idleMicros } = tree
    const busy = `busy ${(root.micros / 1e6).toFixed(2)} s of ${((root.micros + idleMicros) / 1e6).toFixed(2)} s`
    return [
      `profile ${name}: ${busy}: ${join(folder, `${name}.svg`)}`,
      ...hottest(root, HOTTEST).map(hot => {
        const share = ((100 * hot.selfMicros) / root.micros).toFixed(1).padStart(5)
        return `profile ${name}: ${share} % ${hot.name} ${hot.place}`.trimEnd()
      }),
    ]
  })
}
