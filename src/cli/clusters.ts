import { join } from 'node:path'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io, unreadable } from './io.ts'

/**
 * Which URL a cluster's name stands for. `local` is known to everybody; others stand in `/etc/daybreak/clusters.yaml`,
 * then `~/.daybreak/clusters.yaml`, or instead of both where DAYBREAK_CLUSTERS says; the later one wins. An entry is
 * `NAME: {url: …}`; the forms of Aurora's clusters.json are read too. `--url` beats them all; DAYBREAK_URL moves `local`.
 */
export const LOCAL_URL = 'http://127.0.0.1:8081'
const SYSTEM_PATH = '/etc/daybreak/clusters.yaml'

export interface KnownCluster {
  readonly name: string
  readonly url: string
  /** A file, DAYBREAK_URL or `built in`. */
  readonly from: string
  /** File with the CA by which its https is known. */
  readonly ca?: string
}

type ClusterIo = Pick<Io, 'env' | 'home' | 'readText'>

export async function clusterUrl(io: Io, name: string, urlOption?: string): Promise<string> {
  if (urlOption !== undefined) return checkedUrl(urlOption, '--url')
  const known = await knownClusters(io)
  const found = known.find(cluster => cluster.name === name)
  if (found !== undefined) return found.url
  const path = clustersPaths(io).at(-1)
  throw new CliFailure(CLIENT_EXIT.configuration, `Unknown cluster: ${name}`, {
    remedy: `known clusters: ${known.map(cluster => cluster.name).join(', ')}. Others are listed in ${path} as NAME: {url: http://HOST:8081}`,
  })
}

/** Each name once, `local` first. */
export async function knownClusters(io: ClusterIo): Promise<readonly KnownCluster[]> {
  const local = io.env.DAYBREAK_URL
  const known = new Map<string, KnownCluster>()
  if (local) known.set('local', { name: 'local', url: checkedUrl(local, 'DAYBREAK_URL'), from: 'DAYBREAK_URL' })
  else known.set('local', { name: 'local', url: LOCAL_URL, from: 'built in' })
  for (const path of clustersPaths(io)) {
    const text = await readClusters(io, path)
    if (text === null) continue
    for (const cluster of await parseClusters(text, path)) {
      if (cluster.name !== 'local' || !local) known.set(cluster.name, cluster)
    }
  }
  return [...known.values()]
}

/** Null: there is none, and none was asked for. */
async function readClusters(io: ClusterIo, path: string): Promise<string | null> {
  try {
    return await io.readText(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && !io.env.DAYBREAK_CLUSTERS) return null
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read ${path}: ${unreadable(cause)}`, { cause })
  }
}

async function parseClusters(text: string, path: string): Promise<readonly KnownCluster[]> {
  const { parse } = await import('yaml')
  let value: unknown
  try {
    value = parse(text)
  } catch (cause) {
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: ${(cause as Error).message}`, {
      remedy: `mend the file, or name the scheduler with --url http://HOST:8081`,
      cause,
    })
  }
  if (value === null) return []
  if (typeof value !== 'object') {
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: a map of NAME: {url: …} is expected`)
  }
  return namedEntries(value).map(([name, entry]) => {
    const { url, scheduler_uri: uri, zk, ca } = (entry ?? {}) as Record<string, unknown>
    const given = url ?? uri
    if (typeof given !== 'string') {
      // Aurora's clients ask ZooKeeper who leads; here any node of the cluster knows.
      const remedy = zk === undefined ? {} : { remedy: 'zk is not asked: give url, the address of any node' }
      throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: ${name}.url is missing`, remedy)
    }
    if (ca !== undefined && typeof ca !== 'string') {
      throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: ${name}.ca must be the path of a file`)
    }
    const checked = checkedUrl(given, `${name}.${url === undefined ? 'scheduler_uri' : 'url'} in ${path}`)
    return { name, url: checked, from: path, ...(ca === undefined ? {} : { ca }) }
  })
}

/** A map by name, or Aurora's list of `{name, …}`, in which entries without a name stand for nothing. */
function namedEntries(value: object): readonly (readonly [string, unknown])[] {
  if (!Array.isArray(value)) return Object.entries(value)
  return value.flatMap((entry: unknown) => {
    const name: unknown = (entry as { name?: unknown } | null)?.name
    return typeof name === 'string' ? [[name, entry] as const] : []
  })
}

function clustersPaths(io: ClusterIo): readonly string[] {
  const named = io.env.DAYBREAK_CLUSTERS
  return named ? [named] : [SYSTEM_PATH, join(io.home, '.daybreak', 'clusters.yaml')]
}

function checkedUrl(text: string, where: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new CliFailure(CLIENT_EXIT.configuration, `${where} is no http or https URL: ${text}`)
  }
  return url.href.replace(/\/+$/, '')
}
