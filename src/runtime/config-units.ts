/**
 * How quantities are written in a config file and what they become: durations are ms, sizes are bytes, cores are
 * thousandths of a core. Every quantity carries its unit (`5min`, `512MiB`), so that nobody has to guess it; a bare
 * number is refused, except 0 and cores. `show…` is the way back, for `config show` and `/vars`.
 */
export type DurationMs = number
export type SizeBytes = number
export type CpusMilli = number

export type Read<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly text: string }

const DURATION_UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}
const SIZE_UNITS: Readonly<Record<string, number>> = {
  B: 1,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  TiB: 1024 ** 4,
}

/** `150ms`, `1.5s`, `5min`, `2h`, `7d`. */
export function readDuration(value: unknown): Read<DurationMs> {
  return readQuantity(value, DURATION_UNITS, 'a duration with its unit, such as `5min` (ms, s, min, h, d)')
}

/** `64MiB`, `1GiB`. */
export function readSize(value: unknown): Read<SizeBytes> {
  return readQuantity(value, SIZE_UNITS, 'a size with its unit, such as `512MiB` (B, KiB, MiB, GiB, TiB)')
}

/** `2` or `0.25` cores; at most three decimals. */
export function readCpus(value: unknown): Read<CpusMilli> {
  const cores = typeof value === 'number' ? value : typeof value === 'string' && /^[\d.]+$/.test(value) ? +value : NaN
  const milli = Math.round(cores * 1000)
  if (!Number.isFinite(cores) || cores < 0 || Math.abs(cores * 1000 - milli) > 1e-6) {
    return { ok: false, text: `must be a number of cores with at most three decimals, found ${shown(value)}` }
  }
  return { ok: true, value: milli }
}

/** `31000-32000` or `31000-31499, 31600`: closed ranges, ascending and not touching once read. */
export function readPortRanges(value: unknown): Read<readonly (readonly [number, number])[]> {
  const wanted = 'must be port ranges such as `31000-32000` (commas between several)'
  if (typeof value !== 'string' && typeof value !== 'number')
    return { ok: false, text: `${wanted}, found ${shown(value)}` }
  const ranges: [number, number][] = []
  for (const part of String(value).split(',')) {
    const match = /^\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?\s*$/.exec(part)
    if (match === null) return { ok: false, text: `${wanted}, found ${shown(value)}` }
    const from = Number(match[1])
    const to = Number(match[2] ?? match[1])
    if (from < 1 || to > 65_535 || from > to) {
      return { ok: false, text: `${wanted}, from 1 to 65535 and ascending, found ${shown(part.trim())}` }
    }
    ranges.push([from, to])
  }
  ranges.sort((a, b) => a[0] - b[0])
  const merged: [number, number][] = []
  for (const range of ranges) {
    const last = merged.at(-1)
    if (last !== undefined && range[0] <= last[1] + 1) last[1] = Math.max(last[1], range[1])
    else merged.push(range)
  }
  return { ok: true, value: merged }
}

export const showDuration = (ms: DurationMs): string => showQuantity(ms, DURATION_UNITS, 'ms')
export const showSize = (bytes: SizeBytes): string => showQuantity(bytes, SIZE_UNITS, 'B')

/** A value as it was found, short enough for one line of a fault. */
export function shown(value: unknown): string {
  const text = value === undefined ? 'nothing' : JSON.stringify(value)
  return text.length <= 60 ? text : `${text.slice(0, 57)}…`
}

function readQuantity(value: unknown, units: Readonly<Record<string, number>>, wanted: string): Read<number> {
  if (value === 0 || value === '0') return { ok: true, value: 0 }
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)\s*([A-Za-z]+)$/.exec(value.trim()) : null
  const factor = units[match?.[2] ?? '']
  if (match === null || factor === undefined) return { ok: false, text: `must be ${wanted}, found ${shown(value)}` }
  const base = Number(match[1]) * factor
  if (!Number.isSafeInteger(Math.round(base))) return { ok: false, text: `must be smaller, found ${shown(value)}` }
  return { ok: true, value: Math.round(base) }
}

/** The largest unit that divides it, so that reading it again gives the same number. */
function showQuantity(base: number, units: Readonly<Record<string, number>>, smallest: string): string {
  if (base === 0) return '0'
  const fitting = Object.entries(units).filter(([, factor]) => base % factor === 0)
  const [unit, factor] = fitting.at(-1) ?? [smallest, 1]
  return `${base / factor}${unit}`
}
