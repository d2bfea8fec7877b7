/**
 * `daybreak log …`: initialize a member's log, look at one, and say who is to lead. `status` and `read` ask the running node, or open the store
 * read-only when it is down; neither ever makes a store. Status 0 done, 1 refused or failed, 2 wrong usage.
 */
import type { Command } from 'commander'
import type { LogNodeOptions, LogStatusReport } from '../runtime/log/log-options.ts'
import type { ReadEntry } from './log-text.ts'
import type { LogNodeConnection } from './log-transfer.ts'

export interface LogEnd {
  /** Ends the process. Default: `process.exit`. */
  readonly exit?: (status: number) => void
  readonly write?: (text: string) => void
  readonly writeError?: (text: string) => void
  readonly fetch?: typeof fetch
}

type Console = Required<LogEnd>

/** A refusal in words; anything else that is thrown is a bug. */
class Refusal extends Error {}

export function registerLog(program: Command, end: LogEnd = {}): void {
  const console: Console = {
    exit: status => process.exit(status),
    write: text => void process.stdout.write(text),
    writeError: text => void process.stderr.write(text),
    fetch: async (...question) => (await import('./access.ts')).fetchWithAccess(...question),
    ...end,
  }
  const log = program.command('log').description('the replicated log of a scheduler node')
  log
    .command('initialize')
    .description('format the log of this member of a new cluster; once on every member')
    .argument('<file>', 'the config file of the node')
    .option('--genesis <file>', 'the genesis file that another member wrote, for the same cluster id')
    .action((file: string, options: { genesis?: string }) =>
      finish(console, async () => {
        await initialize(console, file, options.genesis)
      }),
    )
  log
    .command('status')
    .description('where the log of a node stands, and what it waits for')
    .argument('[file]', 'the config file of the node')
    .option('--url <url>', 'ask the node at this URL')
    .option('--json', 'print JSON')
    .action((file: string | undefined, options: { url?: string; json?: boolean }) =>
      finish(console, async () => {
        const { statusText } = await import('./log-text.ts')
        const report = await status(console, file, options.url)
        console.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : statusText(report))
      }),
    )
  log
    .command('read')
    .description('show entries of the log')
    .argument('[file]', 'the config file of the node')
    .option('--url <url>', 'ask the node at this URL')
    .option('--from <position>', 'first position; default: where the log begins')
    .option('--to <position>', 'last position, included; default: where the log ends')
    .option('--format <format>', 'text, raw (payloads in hex) or json', 'text')
    .action((file: string | undefined, options: ReadOptions) =>
      finish(console, async () => {
        const { entryText } = await import('./log-text.ts')
        if (!['text', 'raw', 'json'].includes(options.format)) {
          throw new Refusal(`--format is text, raw or json, not '${options.format}'`)
        }
        for await (const entry of read(console, file, options)) console.write(entryText(entry, options.format))
      }),
    )
  log
    .command('transfer')
    .description('hand leadership over to another member, and wait until it leads')
    .argument('[file]', 'the config file of any node')
    .option('--to <member>', 'id or name of the member; default: whoever holds most of the log')
    .option('--url <url>', 'ask the node at this URL')
    .option('--json', 'print JSON')
    .action((file: string | undefined, options: { to?: string; url?: string; json?: boolean }) =>
      finish(console, async () => {
        const { transferLeadership } = await import('./log-transfer.ts')
        console.write(await transferLeadership(await runningNode(console, file, options.url), options))
      }),
    )
  log
    .command('verify')
    .description('check every record of a stopped node; with --accept, let it start again after a failure')
    .argument('<file>', 'the config file of the node')
    .option('--accept', 'the cause of the failure is gone: trust what is read')
    .action((file: string, options: { accept?: boolean }) =>
      finish(console, async () => {
        await verify(console, file, options.accept === true)
      }),
    )
}

interface ReadOptions {
  readonly url?: string
  readonly from?: string
  readonly to?: string
  readonly format: string
}

async function finish(console: Console, run: () => Promise<void>): Promise<void> {
  const { EXIT } = await import('../runtime/exit.ts')
  const { isLogRefused } = await import('../runtime/log/log-refused.ts')
  try {
    await run()
  } catch (cause) {
    if (!(cause instanceof Refusal) && !isLogRefused(cause)) throw cause
    console.writeError(`error: ${cause.message}\n`)
    return console.exit(EXIT.failed)
  }
  console.exit(EXIT.ok)
}

async function optionsOf(file: string): Promise<{ options: LogNodeOptions; url: string | null }> {
  const { advertisedHttpUrl, faultLines, loadConfig } = await import('../runtime/config.ts')
  const { logOptionsOf } = await import('../runtime/log/log-options.ts')
  const loaded = loadConfig(file, { readFiles: false })
  if (!loaded.ok) throw new Refusal(faultLines(file, loaded.faults).join('\n'))
  const { config } = loaded
  if (!config.roles.includes('scheduler')) throw new Refusal(`${file} is not of a scheduler node: it has no log`)
  const url = config.http.port === 0 ? null : advertisedHttpUrl(config, config.http.port, '127.0.0.1')
  return { options: logOptionsOf(config, file, url ?? ''), url }
}

async function initialize(console: Console, file: string, genesisFile: string | undefined): Promise<void> {
  const { readFileSync } = await import('node:fs')
  const { drawClusterId, formatLog, isFormatted } = await import('../runtime/log/log-folder.ts')
  const { lockFolder } = await import('../runtime/log/store-lock.ts')
  const { writeDurableFile } = await import('../runtime/log/durable-file.ts')
  const { options } = await optionsOf(file)
  const genesis = genesisFile === undefined ? null : readGenesis(genesisFile, readFileSync)
  if (genesis !== null && options.clusterId !== null && genesis !== options.clusterId) {
    throw new Refusal(`cluster.id in ${file} is ${options.clusterId}, ${genesisFile} says ${genesis}`)
  }
  if (isFormatted(options.path)) throw new Refusal('The log is not empty')
  const known = genesis ?? options.clusterId
  const lock = await lockFolder(options.path)
  try {
    const meta = await formatLog(options, known ?? drawClusterId())
    console.write(`Initialized the log of member ${meta.memberId} at ${options.path}, cluster ${meta.clusterId}\n`)
    if (known !== null || options.members.length === 1) return
    const path = `${options.path}/genesis.json`
    writeDurableFile(path, `${JSON.stringify({ clusterId: meta.clusterId }, null, 2)}\n`)
    console.write(
      `Copy ${path} to the other members and run there: daybreak log initialize FILE --genesis genesis.json\n`,
    )
  } finally {
    await lock.release()
  }
}

function readGenesis(path: string, readFile: (path: string, encoding: 'utf8') => string): string {
  let clusterId: unknown
  try {
    clusterId = (JSON.parse(readFile(path, 'utf8')) as { clusterId?: unknown }).clusterId
  } catch (cause) {
    throw new Refusal(`The genesis file ${path} cannot be read: ${(cause as Error).message}`)
  }
  if (typeof clusterId === 'string' && /^[0-9a-f]{32}$/.test(clusterId)) return clusterId
  throw new Refusal(`The genesis file ${path} has no clusterId of 32 hexadecimal digits`)
}

/** Where to look: at a running node, or into the store of one that is down. */
type Source =
  /** `path`: of the log that the node there must have, if that is known. */
  | { readonly type: 'node'; readonly url: string; readonly path?: string }
  | { readonly type: 'store'; readonly options: LogNodeOptions }

async function sourceOf(file: string | undefined, url: string | undefined): Promise<Source> {
  if (url !== undefined) return { type: 'node', url }
  if (file === undefined) return { type: 'node', url: process.env.DAYBREAK_URL ?? 'http://127.0.0.1:8081' }
  const { isFormatted } = await import('../runtime/log/log-folder.ts')
  const { folderHolder } = await import('../runtime/log/store-lock.ts')
  const { options, url: own } = await optionsOf(file)
  if (own !== null && folderHolder(options.path) !== null) return { type: 'node', url: own, path: options.path }
  if (!isFormatted(options.path)) {
    throw new Refusal(`There is no log at ${options.path}. To begin a new cluster: daybreak log initialize ${file}`)
  }
  return { type: 'store', options }
}

/** With a body: a change is asked for. */
async function ask<T>(console: Console, url: string, path: string, body?: object): Promise<T> {
  let answer: Response
  try {
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
    answer = await console.fetch(`${url}/api/v1${path}`, body === undefined ? {} : request)
  } catch (cause) {
    throw new Refusal(`No node answers at ${url}: ${(cause as Error).message}`)
  }
  const read = (await answer.json()) as T & { detail?: string; remedy?: string }
  if (answer.ok) return read
  const remedy = read.remedy === undefined ? '' : `\n  ${read.remedy}`
  throw new Refusal(`${read.detail ?? `${url} answered ${answer.status}`}${remedy}`)
}

/** A node to ask for a change: what cannot be done in the store of one that is down. */
async function runningNode(
  console: Console,
  file: string | undefined,
  url: string | undefined,
): Promise<LogNodeConnection> {
  const source = await sourceOf(file, url)
  if (source.type === 'store') {
    throw new Refusal(`The node of ${file} is not running: start it, or ask another one with --url`)
  }
  return {
    report: await statusOfNode(console, source),
    post: (path, body) => ask(console, source.url, path, body),
    refuse: text => {
      throw new Refusal(text)
    },
  }
}

async function status(console: Console, file: string | undefined, url: string | undefined): Promise<LogStatusReport> {
  const source = await sourceOf(file, url)
  if (source.type === 'node') return statusOfNode(console, source)
  const { statfsSync } = await import('node:fs')
  const { quorumOf } = await import('../core/log/descriptor.ts')
  const { doubtRefusal } = await import('../core/log/doubt.ts')
  const { inspectLogStore } = await import('../runtime/log/lmdb-log-store.ts')
  const { needsVerify, storeFolder } = await import('../runtime/log/log-folder.ts')
  const { path } = source.options
  const log = await inspectLogStore(storeFolder(path))
  const { meta } = log
  await log.close()
  const members = meta.descriptor?.members ?? meta.genesisMembers
  const disk = statfsSync(path)
  const doubt = needsVerify(path)
  return {
    status: meta.status,
    view: { version: 0, role: 'NONE', ballot: null, leader: null },
    clusterId: meta.clusterId,
    memberId: meta.memberId,
    members: members.map(({ memberId, name, address }) => ({ memberId, name, address })),
    quorum: quorumOf(members.length),
    promised: meta.promised,
    begin: meta.end === 0 ? 0 : meta.begin,
    end: meta.end,
    commit: meta.commit,
    applied: 0,
    bootCounter: meta.bootCounter,
    path,
    diskFreeBytes: disk.bavail * disk.bsize,
    waitingFor: 'the node to be started: it is down, this is what its store says',
    notWritable: doubt === null ? null : doubtRefusal(doubt, source.options),
    peers: [],
    leaderSinceMs: null,
    leaseLeftMs: null,
  }
}

/** What the node at the URL of the config says, if it is the node of that config and not another one on its port. */
async function statusOfNode(console: Console, { url, path }: Source & { type: 'node' }): Promise<LogStatusReport> {
  const report = await ask<LogStatusReport>(console, url, '/log/status')
  if (path === undefined || report.path === path) return report
  throw new Refusal(
    `The log at ${path} is open in a running node, but at ${url} answers another one, with its log at ${report.path}. ` +
      'If the node was started with another --http.port, say where it is: daybreak log status --url URL',
  )
}

async function* read(
  console: Console,
  file: string | undefined,
  options: ReadOptions,
): AsyncGenerator<ReadEntry, void, undefined> {
  const source = await sourceOf(file, options.url)
  const from = positionOf(options.from, '--from')
  const to = positionOf(options.to, '--to')
  if (from !== null && to !== null && to < from) throw new Refusal(`BAD_RANGE: ${to} is before ${from}`)
  if (source.type === 'node') {
    if (source.path !== undefined) await statusOfNode(console, source)
    yield* readNode(console, source.url, from, to)
  } else yield* readStore(source.options, from, to)
}

interface EntriesAnswer {
  readonly entries: readonly { position: number; ballot: [number, number]; type: ReadEntry['type']; payload: string }[]
  readonly next: number | null
}

async function* readNode(console: Console, url: string, from: number | null, to: number | null) {
  for (let next = from; ; ) {
    const query = new URLSearchParams()
    if (next !== null) query.set('from', String(next))
    if (to !== null) query.set('to', String(to))
    const page = await ask<EntriesAnswer>(console, url, `/log/entries?${query}`)
    for (const entry of page.entries) {
      // The node checks what it reads, and serves only what is committed.
      yield { ...entry, payload: Buffer.from(entry.payload, 'base64'), committed: 'yes', damage: null } as const
    }
    if (page.next === null) return
    next = page.next
  }
}

async function* readStore(options: LogNodeOptions, from: number | null, to: number | null) {
  const { inspectLogStore } = await import('../runtime/log/lmdb-log-store.ts')
  const { storeFolder } = await import('../runtime/log/log-folder.ts')
  const log = await inspectLogStore(storeFolder(options.path))
  try {
    const { begin, end, commit, genesisMembers, descriptor } = log.meta
    // Alone, what is on disk is what a quorum holds.
    const known = (descriptor?.members ?? genesisMembers).length === 1 ? end : commit
    const first = from ?? begin
    const last = to ?? end
    if (first < begin) throw new Refusal(`TRUNCATED: the log begins at ${begin}`)
    if (last > end || (from !== null && from > end)) throw new Refusal(`PAST_COMMIT: the log ends at ${end}`)
    for (let at = first; at <= last; at++) {
      const [record] = log.read(at, at)
      const committed = at <= known ? 'yes' : 'not known'
      if (record === undefined) continue
      if (record.entry === null) {
        yield { position: at, ballot: null, type: null, payload: null, committed, damage: record.damage } as const
        continue
      }
      const { position, ballot, type, payload } = record.entry
      yield { position, ballot, type, payload, committed, damage: null } as const
    }
  } finally {
    await log.close()
  }
}

async function verify(console: Console, file: string, accept: boolean): Promise<void> {
  const { acceptVerified, needsVerify, storeFolder } = await import('../runtime/log/log-folder.ts')
  const { verifyLogStore } = await import('../runtime/log/lmdb-log-store.ts')
  const { folderHolder } = await import('../runtime/log/store-lock.ts')
  const { options } = await optionsOf(file)
  const pid = folderHolder(options.path)
  if (pid !== null) throw new Refusal(`The log at ${options.path} is in use by process ${pid}: stop it first`)
  const damage = await verifyLogStore(storeFolder(options.path))
  if (damage !== null) throw new Refusal(damage)
  console.write(`Every record of the log at ${options.path} is whole\n`)
  const doubt = needsVerify(options.path)
  if (doubt === null) return
  const { doubtRefusal } = await import('../core/log/doubt.ts')
  if (!accept) throw new Refusal(doubtRefusal(doubt, options))
  acceptVerified(options.path)
  console.write('The node may start again\n')
}

function positionOf(text: string | undefined, name: string): number | null {
  if (text === undefined) return null
  const value = Number(text)
  if (Number.isSafeInteger(value) && value > 0) return value
  throw new Refusal(`${name} is a position, a whole number from 1, not '${text}'`)
}
