/**
 * The shim: a few lines of POSIX shell around every run. It leads a session of its own, runs the command and writes down
 * how it ended, so that a run outlives agent and launcher and its end is never unknown. Who it is, its launcher writes
 * down. It catches the signals that the whole group gets, because it has to be the last one to leave; what it starts has
 * them as usual.
 *
 * Records are written and renamed: a reader sees all of one or nothing. Their times are the files' own. They are not
 * synced: they matter only while the kernel that wrote them lives, as a task of another boot is lost (`runners.ts`).
 */
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** Program and arguments of a shim around a command. Starting it writes the record `started`, with this token, as well. */
export function shimCommand(records: string, token: string, command: readonly string[]): string[] {
  return ['/bin/sh', '-c', SHIM_SCRIPT, 'daybreak-shim', records, token, ...command]
}

/**
 * `sh -c SCRIPT daybreak-shim RECORDS TOKEN COMMAND ARGUMENT…`. Ends with the status of the command. `started` is missing
 * at the end only where the launcher died right after the fork, or the disk was full.
 */
const SHIM_SCRIPT = `
trap : HUP INT QUIT TERM USR1 USR2 ALRM
records=$1 token=$2
shift 2
put() {
  tries=0
  until printf '%s\\n' "$2" >"$records/$1.new" &&
    mv -f "$records/$1.new" "$records/$1"; do
    tries=$((tries + 1))
    [ "$tries" -lt 20 ] || break
  done 2>/dev/null
}
field22() { shift 19; ticks=$1; }
put_started() {
  read -r stat </proc/$$/stat
  set -f
  field22 \${stat##*) }
  set +f
  put started "$$ $ticks $token"
}
"$@"
code=$?
[ -e "$records/started" ] || put_started
put ended "$code"
exit "$code"
`

export interface StartedRecord {
  readonly pid: number
  readonly startTicks: number
  readonly token: string
  readonly atMs: number
}

export interface EndedRecord {
  /** 0–255; above 128: ended by signal code - 128. */
  readonly code: number
  readonly atMs: number
}

/** Null when it is not there (yet). A record that cannot be read is a fault of the disk and throws. */
export function readStarted(folder: string): StartedRecord | null {
  const found = readRecord(join(folder, 'started'))
  if (found === null) return null
  const [pid, startTicks, token] = found.text.split(' ')
  const record = { pid: Number(pid), startTicks: Number(startTicks), token: token ?? '', atMs: found.atMs }
  if (!Number.isInteger(record.pid) || !Number.isInteger(record.startTicks) || record.pid < 2) {
    throw new Error(`${folder}/started is damaged: ${JSON.stringify(found.text.slice(0, 80))}`)
  }
  return record
}

export function readEnded(folder: string): EndedRecord | null {
  const found = readRecord(join(folder, 'ended'))
  if (found === null) return null
  const code = Number(found.text)
  if (found.text === '' || !Number.isInteger(code) || code < 0 || code > 255) {
    throw new Error(`${folder}/ended is damaged: ${JSON.stringify(found.text.slice(0, 80))}`)
  }
  return { code, atMs: found.atMs }
}

function readRecord(path: string): { text: string; atMs: number } | null {
  try {
    return { text: readFileSync(path, 'utf8').trim(), atMs: Math.floor(statSync(path).mtimeMs) }
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw cause
  }
}
