import { join } from 'node:path'
import { CLIENT_EXIT } from './exit-status.ts'
import { CliFailure, type Io, unreadable } from './io.ts'

/**
 * Which URL a cluster's name stands for. `local` is known to everybody; others stand in `~/.daybreak/clusters.yaml`, or
 * where DAYBREAK_CLUSTERS says, as `name: {url: …}`. `--url` beats them all; DAYBREAK_URL moves `local`.
 */
export const LOCAL_URL = 'http://127.0.0.1:8081'

export async function clusterUrl(io: Io, name: string, urlOption?: string): Promise<string> {
  if (urlOption !== undefined) return checkedUrl(urlOption, '--url')
  const known = await knownClusters(io)
  const url = known.get(name)
  if (url !== undefined) return url
  throw new CliFailure(CLIENT_EXIT.configuration, `Unknown cluster: ${name}`, {
    remedy: `known clusters: ${[...known.keys()].join(', ')}. Others are listed in ${clustersPath(io)} as NAME: {url: http://HOST:8081}`,
  })
}

/** Name → URL, `local` first. */
export async function knownClusters(io: ClusterIo): Promise<ReadonlyMap<string, string>> {
  return new Map((await knownPlaces(io)).map(({ name, url }) => [name, url]))
}

export interface ClusterPlace {
  readonly name: string
  readonly url: string
  /** File with the CA by which its https is known. */
  readonly ca?: string
}

type ClusterIo = Pick<Io, 'env' | 'home' | 'readText'>

/** `local` first. */
export async function knownPlaces(io: ClusterIo): Promise<readonly ClusterPlace[]> {
  const moved = io.env.DAYBREAK_URL
  const local: ClusterPlace = { name: 'local', url: moved ? checkedUrl(moved, 'DAYBREAK_URL') : LOCAL_URL }
  const path = clustersPath(io)
  let text: string
  try {
    text = await io.readText(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' && !io.env.DAYBREAK_CLUSTERS) return [local]
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to read ${path}: ${unreadable(cause)}`, { cause })
  }
  const listed = await parseClusters(text, path)
  const own = listed.find(({ name }) => name === 'local')
  return [own === undefined || moved ? local : own, ...listed.filter(({ name }) => name !== 'local')]
}

async function parseClusters(text: string, path: string): Promise<readonly ClusterPlace[]> {
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
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    if (value === null) return []
    throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: a map of NAME: {url: …} is expected`)
  }
  return Object.entries(value).map(([name, entry]) => {
    const { url, ca } = (entry ?? {}) as { url?: unknown; ca?: unknown }
    if (typeof url !== 'string') {
      throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: ${name}.url is missing`)
    }
    if (ca !== undefined && typeof ca !== 'string') {
      throw new CliFailure(CLIENT_EXIT.configuration, `Unable to parse ${path}: ${name}.ca must be the path of a file`)
    }
    return { name, url: checkedUrl(url, `${name}.url in ${path}`), ...(ca === undefined ? {} : { ca }) }
  })
}

function clustersPath(io: ClusterIo): string {
  return io.env.DAYBREAK_CLUSTERS || join(io.home, '.daybreak', 'clusters.yaml')
}

function checkedUrl(text: string, where: string): string {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !/^https?:$/.test(url.protocol)) {
    throw new CliFailure(CLIENT_EXIT.configuration, `${where} is no http or https URL: ${text}`)
  }
  return url.href.replace(/\/+$/, '')
}
