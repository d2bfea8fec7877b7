import { isIdentifier } from '../core/base/ids.ts'
import type { QuotaList, QuotaSetView, RoleQuota } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { say, sayJson } from './report.ts'
import { everyPage, type RestClient, restClient } from './rest-client.ts'
import { printable, styleOf } from './screen.ts'
import { tableText } from './table.ts'

/** The work of `daybreak quota get|set|increase`. */

interface Amounts {
  readonly cpusMilli: number
  readonly ramMb: number
  readonly diskMb: number
  readonly gpus?: number | undefined
}
export interface AmountOptions extends CommonOptions {
  readonly gpu?: string
}
export type AmountArguments = [cpu: string, ram: string, disk: string, options: AmountOptions]

const ROLE_KEY = 'CLUSTER/ROLE'
/** Where all roles may be meant. */
const ANY_KEY = 'CLUSTER[/ROLE]'

export async function getQuota(io: Io, text: string, options: CommonOptions): Promise<ClientExit> {
  const { cluster, role } = parseKey(text, ANY_KEY)
  const client = await clientOf(io, cluster, options)
  if (role === null) {
    const { items: quotas } = await everyPage(client, '/api/v1/quotas', (page: QuotaList) => page.quotas)
    if (options.json === true) sayJson(io, quotas)
    else if (quotas.length === 0) say(io, 'No role has a quota or uses anything.')
    else io.stdout.write(listText(io, quotas))
    return CLIENT_EXIT.ok
  }
  const found = await client.get<RoleQuota>(`/api/v1/quotas/${encodeURIComponent(role)}`)
  if (options.json === true) sayJson(io, found)
  else say(io, quotaText(found))
  return CLIENT_EXIT.ok
}

export async function changeQuota(
  io: Io,
  verb: 'set' | 'increase',
  text: string,
  [cpu, ram, disk, options]: AmountArguments,
): Promise<ClientExit> {
  const { cluster, role } = parseKey(text, ROLE_KEY)
  if (role === null) throw new CliFailure(CLIENT_EXIT.usage, `'${text}' names no role`, { remedy: `write ${ROLE_KEY}` })
  const body: Amounts = {
    cpusMilli: parseCores(cpu, verb),
    ramMb: parseMegabytes(ram, 'RAM', verb),
    diskMb: parseMegabytes(disk, 'disk', verb),
    ...(options.gpu === undefined ? {} : { gpus: parseWhole(options.gpu, verb) }),
  }
  const client = await clientOf(io, cluster, options)
  const done = await client.post<QuotaSetView>(`/api/v1/quotas/${encodeURIComponent(role)}:${verb}`, body)
  if (options.json === true) sayJson(io, done)
  else say(io, `The quota of ${role} is now ${amountsText(done.quota)}`)
  return CLIENT_EXIT.ok
}

/** Aurora's headings and rows. */
export function quotaText({ quota, prodShared, prodDedicated, nonProdShared, nonProdDedicated }: RoleQuota): string {
  const part = (heading: string, of: Amounts | null): string[] => {
    if (of === null) return [heading, '  none: production jobs on shared machines are refused']
    // A quota of no GPUs limits them, one without a word on them does not; what uses none need not say so.
    const showsGpus = of.gpus !== undefined && (of === quota || of.gpus > 0)
    const cores = of.cpusMilli / 1000
    return [
      heading,
      `  CPU: ${Number.isInteger(cores) ? cores.toFixed(1) : cores} core(s)`,
      `  RAM: ${of.ramMb} MB`,
      `  Disk: ${of.diskMb} MB`,
      ...(showsGpus ? [`  GPU: ${of.gpus}`] : []),
    ]
  }
  return [
    ...part('Allocated:', quota),
    ...part('Production shared pool resources consumed:', prodShared),
    ...part('Production dedicated pool resources consumed:', prodDedicated),
    ...part('Non-production shared pool resources consumed:', nonProdShared),
    ...part('Non-production dedicated pool resources consumed:', nonProdDedicated),
  ].join('\n')
}

function listText(io: Io, quotas: readonly RoleQuota[]): string {
  const cores = (milli: number): string => String(milli / 1000)
  const columns = [
    { head: 'ROLE' },
    { head: 'CPU', right: true },
    { head: 'USED', right: true },
    { head: 'RAM MB', right: true },
    { head: 'USED', right: true },
    { head: 'DISK MB', right: true },
    { head: 'USED', right: true },
  ]
  const rows = quotas.map(({ role, quota, prodShared }) => [
    printable(role),
    quota === null ? 'none' : cores(quota.cpusMilli),
    cores(prodShared.cpusMilli),
    quota === null ? 'none' : String(quota.ramMb),
    String(prodShared.ramMb),
    quota === null ? 'none' : String(quota.diskMb),
    String(prodShared.diskMb),
  ])
  return tableText(columns, rows, styleOf(io.stdout, io.env))
}

const amountsText = ({ cpusMilli, ramMb, diskMb, gpus }: Amounts): string =>
  `${cpusMilli / 1000} core(s), ${ramMb} MB RAM, ${diskMb} MB disk${gpus === undefined ? '' : `, ${gpus} GPU(s)`}`

function parseKey(text: string, form: string): { readonly cluster: string; readonly role: string | null } {
  const [cluster = '', role = null, ...more] = text.split('/')
  const remedy = form === ANY_KEY ? 'such as local/www-data, or local for all roles' : 'such as local/www-data'
  if (cluster === '' || role === '' || more.length > 0) {
    throw new CliFailure(CLIENT_EXIT.usage, `'${text}' is not ${form}`, { remedy })
  }
  if (role !== null && !isIdentifier(role)) throw new CliFailure(CLIENT_EXIT.usage, `Invalid role '${role}'`)
  return { cluster, role }
}

async function clientOf(io: Io, cluster: string, options: CommonOptions): Promise<RestClient> {
  return restClient(io, await clusterUrl(io, cluster, options.url), { timeoutMs: parseDuration(options.timeout) })
}

const NUMBER = /^-?\d+(?:\.\d+)?$/
/** Zeros at the end change nothing. */
const FINER_THAN_MILLI = /\.\d{3}\d*[1-9]0*$/

function parseCores(text: string, verb: 'set' | 'increase'): number {
  if (!NUMBER.test(text) || (verb === 'set' && Number(text) < 0)) {
    throw new CliFailure(CLIENT_EXIT.usage, `CPU is a number of cores such as 4 or 0.5, not '${text}'`)
  }
  if (FINER_THAN_MILLI.test(text)) {
    throw new CliFailure(CLIENT_EXIT.usage, `CPU is counted in thousandths of a core: '${text}' is finer`, {
      remedy: `write at most three digits after the point, such as ${nearMilli(Number(text))}`,
    })
  }
  return countable('CPU', Math.round(Number(text) * 1000), `${Math.floor(Number.MAX_SAFE_INTEGER / 1000)} cores`, text)
}

/** Away from zero: who writes a little does not mean nothing. */
const nearMilli = (cores: number): number => (Math.sign(cores) * Math.ceil(Math.abs(cores) * 1000)) / 1000

const MEGABYTES: Readonly<Record<string, number>> = { '': 1, MB: 1, GB: 1024, TB: 1024 * 1024 }

/** Units are those of Aurora: powers of 1,024. */
function parseMegabytes(text: string, name: string, verb: 'set' | 'increase'): number {
  const found = /^(-?\d+(?:\.\d+)?)\s*(MB|GB|TB)?$/i.exec(text)
  const value =
    found === null ? Number.NaN : Number(found[1]) * (MEGABYTES[(found[2] ?? '').toUpperCase()] ?? Number.NaN)
  if (Number.isInteger(value) && (verb === 'increase' || value >= 0)) {
    return countable(name, value, `${Number.MAX_SAFE_INTEGER} MB`, text)
  }
  throw new CliFailure(CLIENT_EXIT.usage, `${name} is an amount such as 512MB, 64GB or 1TB, not '${text}'`)
}

function parseWhole(text: string, verb: 'set' | 'increase'): number {
  if (/^-?\d+$/.test(text) && (verb === 'increase' || !text.startsWith('-'))) {
    return countable('--gpu', Number(text), String(Number.MAX_SAFE_INTEGER), text)
  }
  throw new CliFailure(CLIENT_EXIT.usage, `--gpu is a whole number, not '${text}'`)
}

/** Refused here, where the argument has the name that was typed. */
function countable(name: string, value: number, most: string, text: string): number {
  if (Number.isSafeInteger(value)) return value
  throw new CliFailure(CLIENT_EXIT.usage, `${name} is more than can be counted: '${text}'`, {
    remedy: `the largest value is ${most}`,
  })
}
