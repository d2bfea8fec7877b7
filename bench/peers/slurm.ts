/**
 * Slurm on one machine: munged, slurmctld and slurmd in the foreground, on loopback, with everything they keep in a
 * temporary folder. Jobs come by `sbatch`; that they have ended is read from the job completion log, which costs Slurm a
 * line a job and nobody a question.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePorts } from '../../test/fixtures/free-ports.ts'
import { programPath } from './installed.ts'
import { PeerProcess } from './process.ts'
import { readEnded, SCHEDULER_PARAMETERS, slurmConf, slurmVersion } from './slurm-config.ts'

const run = promisify(execFile)

const PROGRAMS = ['munged', 'slurmctld', 'slurmd', 'sbatch', 'sinfo', 'setpriv'] as const
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const START_MS_MAX = 30_000
const ROUND_MS_MAX = 180_000
const POLL_MS = 10

/** Why it cannot be measured here and what to do about it, in one line; null if it can. */
export function slurmMissing(env: NodeJS.ProcessEnv = process.env, uid = process.getuid?.() ?? -1): string | null {
  const missing = PROGRAMS.filter(name => programPath(name, env) === null)
  if (missing.length > 0) return `Slurm is not installed (no ${missing.join(', ')}): run bench/peers/install.sh slurm`
  if (uid !== 0) return 'slurmd runs as root only: run the bench as root'
  return null
}

export interface SlurmOptions {
  /** Jobs that may run at once. */
  readonly slots: number
  /** Environment variables of this machine that the daemons and jobs get. Default: those of this process. */
  readonly env?: NodeJS.ProcessEnv
}

export class Slurm {
  readonly version: string
  readonly configuration: readonly string[]
  readonly #folder: string
  readonly #env: NodeJS.ProcessEnv
  readonly #daemons: PeerProcess[] = []
  readonly #atExit = (): void => this.#vanish()
  readonly #onSignal = (signal: NodeJS.Signals): void => {
    this.#vanish()
    this.#forget()
    process.kill(process.pid, signal)
  }
  #read = 0

  private constructor(folder: string, env: NodeJS.ProcessEnv, version: string, slots: number) {
    this.#folder = folder
    this.#env = env
    this.version = version
    this.configuration = [
      'Debian’s packages: munged, slurmctld and slurmd on loopback, all state in one folder of the disk that Daybreak uses',
      `sched/builtin, ${SCHEDULER_PARAMETERS}, MinJobAge=10, no accounting, logs of errors only: its guide for high throughput`,
      `select/cons_tres, CR_Core, one machine with ${slots} cores claimed, one core a job; proctrack/linuxproc, task/none`,
      'jobcomp/filetxt, which is how the bench hears of the ends; jobs without output file (--output=/dev/null)',
    ]
    process.once('exit', this.#atExit)
    for (const signal of ENDING_SIGNALS) process.once(signal, this.#onSignal)
  }

  /** Settles when the machine takes jobs. Rejects with the last words of the daemons, and leaves nothing behind. */
  static async start({ slots, env = process.env }: SlurmOptions): Promise<Slurm> {
    const said = await run(programPath('slurmctld')!, ['-V'])
    const version = slurmVersion(said.stdout)
    if (version === null) throw new Error(`slurmctld -V says no version: ${JSON.stringify(said.stdout)}`)
    const base = process.env.DAYBREAK_BENCH_DIR ?? tmpdir()
    const folder = mkdtempSync(join(base, 'daybreak-bench-slurm-'))
    const slurm = new Slurm(folder, { ...env, SLURM_CONF: join(folder, 'slurm.conf') }, version, slots)
    try {
      await slurm.#start(slots)
      return slurm
    } catch (cause) {
      const words = ['munged', 'slurmctld', 'slurmd'].map(name => slurm.#lastWords(name)).join('\n')
      await slurm.end()
      throw new Error(`Slurm does not start: ${(cause as Error).message}\n${words}`, { cause })
    }
  }

  /** One array of so many jobs. Answers jobs per second from the call to the end of the last one. */
  array(jobs: number): Promise<number> {
    return this.#round(jobs, () => this.#sbatch(['--array', `0-${jobs - 1}`]))
  }

  /** So many jobs by an `sbatch` each, so many of these at a time. */
  singles(jobs: number, inFlight: number): Promise<number> {
    return this.#round(jobs, async () => {
      let next = 0
      const worker = async (): Promise<void> => {
        while (next++ < jobs) await this.#sbatch([])
      }
      await Promise.all(Array.from({ length: inFlight }, worker))
    })
  }

  /** SIGKILL: what it would save on the way out nobody reads, and it takes its time. */
  async end(): Promise<void> {
    this.#forget()
    this.#killNow()
    await Promise.all(this.#daemons.map(daemon => daemon.kill()))
    // With what a daemon was just starting when it was killed.
    this.#vanish()
  }

  #vanish(): void {
    this.#killNow()
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #forget(): void {
    process.removeListener('exit', this.#atExit)
    for (const signal of ENDING_SIGNALS) process.removeListener(signal, this.#onSignal)
  }

  async #start(slots: number): Promise<void> {
    const folder = this.#folder
    for (const name of ['state', 'spool']) mkdirSync(join(folder, name), { mode: 0o755 })
    writeFileSync(join(folder, 'munge.key'), randomBytes(1024), { mode: 0o400 })
    writeFileSync(join(folder, 'true.sh'), '#!/bin/sh\n/bin/true\n', { mode: 0o755 })
    writeFileSync(join(folder, 'ended.log'), '')
    const [controllerPort, nodePort] = await freePorts(2)
    const host = hostname().split('.')[0]!
    const place = { folder, host, controllerPort: controllerPort!, nodePort: nodePort!, slots }
    const conf = join(folder, 'slurm.conf')
    writeFileSync(conf, slurmConf(place))
    const files = [
      `--key-file=${folder}/munge.key`,
      `--socket=${folder}/munge.sock`,
      `--pid-file=${folder}/munged.pid`,
      `--log-file=${folder}/munged-own.log`,
      `--seed-file=${folder}/munge.seed`,
    ]
    this.#daemon('munged', ['--foreground', '--force', '--num-threads=4', ...files])
    await this.#until('munged listens', () => readdirSync(folder).includes('munge.sock'))
    this.#daemon('slurmctld', ['-D', '-f', conf])
    this.#daemon('slurmd', ['-D', '-f', conf, '-N', host])
    await this.#until('the machine is idle', async () => {
      const asked = await run(programPath('sinfo')!, ['--noheader', '--format=%T'], { env: this.#env }).catch(
        () => null,
      )
      return asked?.stdout.trim() === 'idle'
    })
  }

  #daemon(name: string, args: readonly string[]): void {
    const logFile = join(this.#folder, `${name}.out`)
    const command = programPath(name)!
    this.#daemons.push(new PeerProcess({ title: name, command, args, cwd: this.#folder, logFile, env: this.#env }))
  }

  async #until(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
    for (const endMs = performance.now() + START_MS_MAX; performance.now() < endMs; ) {
      const dead = this.#daemons.find(({ hasEnded }) => hasEnded)
      if (dead !== undefined) throw new Error(`${dead.title} has ended with ${dead.outcome}`)
      if (await isSo()) return
      await pause(50)
    }
    throw new Error(`no sign within ${START_MS_MAX / 1000} s that ${what}`)
  }

  async #sbatch(args: readonly string[]): Promise<void> {
    const script = join(this.#folder, 'true.sh')
    const all = ['--quiet', '--output=/dev/null', '--chdir=/', ...args, script]
    await run(programPath('sbatch')!, all, { env: this.#env })
  }

  async #round(jobs: number, submit: () => Promise<void>): Promise<number> {
    const begunMs = performance.now()
    const submitted = submit().then(
      () => null,
      (cause: unknown) => ({ cause }),
    )
    let failed: { cause: unknown } | null = null
    void submitted.then(outcome => {
      failed = outcome
    })
    for (let ended = 0; ; ) {
      const found = this.#newlyEnded()
      ended += found.completed
      if (found.other !== null) throw new Error(`a job of Slurm's has failed: ${found.other}`)
      if (failed !== null) throw (failed as { cause: unknown }).cause
      if (ended >= jobs) break
      const tookMs = performance.now() - begunMs
      if (tookMs > ROUND_MS_MAX) {
        throw new Error(
          `Slurm has ended ${ended} of ${jobs} jobs in ${ROUND_MS_MAX / 1000} s\n${this.#lastWords('slurmctld')}`,
        )
      }
      await pause(POLL_MS)
    }
    const seconds = (performance.now() - begunMs) / 1000
    await submitted
    return jobs / seconds
  }

  /** Reads on where it left off; half a line stays for the next time. */
  #newlyEnded(): { completed: number; other: string | null } {
    const file = openSync(join(this.#folder, 'ended.log'), 'r')
    try {
      const buffer = Buffer.alloc(1 << 20)
      const size = readSync(file, buffer, 0, buffer.length, this.#read)
      const text = buffer.toString('latin1', 0, size)
      const { completed, other, rest } = readEnded(text)
      this.#read += size - rest.length
      return { completed, other }
    } finally {
      closeSync(file)
    }
  }

  #lastWords(name: string): string {
    const words = [`${name}.out`, `${name}.log`, `${name}-own.log`].flatMap(file => {
      try {
        return readFileSync(join(this.#folder, file), 'utf8').trimEnd().split('\n').slice(-5)
      } catch {
        return []
      }
    })
    return `${name}: ${words.filter(line => line !== '').join('\n  ') || 'says nothing'}`
  }

  /** The daemons, then what they have started: it carries the path of our configuration in its environment. */
  #killNow(): void {
    for (const daemon of this.#daemons) daemon.signal('SIGKILL')
    const mark = `SLURM_CONF=${this.#env.SLURM_CONF}`
    for (const name of readdirSync('/proc')) {
      const pid = Number(name)
      if (!Number.isInteger(pid) || pid === process.pid) continue
      try {
        if (readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)) process.kill(pid, 'SIGKILL')
      } catch {
        // It has ended, or is somebody else's.
      }
    }
  }
}

const pause = (ms: number): Promise<void> => new Promise(done => setTimeout(done, ms))
