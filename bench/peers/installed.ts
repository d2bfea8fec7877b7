/** Where programs of peers are: in a folder that `install.sh` fills, or where Debian's packages put them. */
import { accessSync, constants, existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { delimiter, join } from 'node:path'
import type { Found } from './peer.ts'

export const INSTALL_HINT = 'run bench/peers/install.sh'

/** Outside the source tree, because what is built there takes minutes. The same rule stands in `install.sh`. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return env.DAYBREAK_BENCH_CACHE ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'daybreak-bench')
}

/** Where daemons are that the PATH of a user does not name. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin']

/** Of a program that can be run: in the cache, on the PATH, or where daemons are. Null if there is none. */
export function programPath(name: string, env: NodeJS.ProcessEnv = process.env): string | null {
  const folders = [join(cacheFolder(env), 'bin'), ...(env.PATH ?? '').split(delimiter), ...SYSTEM_FOLDERS]
  for (const folder of folders.filter(folder => folder !== '')) {
    const path = join(folder, name)
    try {
      accessSync(path, constants.X_OK)
      return path
    } catch {
      // Not there, or not for us.
    }
  }
  return null
}

export interface EtcdInstalled {
  readonly server: string
  /** etcd's own load tool; null where it was not built. */
  readonly loadTool: string | null
}

export function findEtcd(env: NodeJS.ProcessEnv = process.env): Found<EtcdInstalled> {
  const server = programPath('etcd', env)
  if (server === null) return { skipped: `etcd is not installed: ${INSTALL_HINT}`, installed: null }
  return { skipped: null, installed: { server, loadTool: programPath('etcd-benchmark', env) } }
}

export interface ZooKeeperInstalled {
  readonly java: string
  readonly classPath: string
}

const DEBIAN_JARS = '/usr/share/java'

export function findZooKeeper(
  env: NodeJS.ProcessEnv = process.env,
  jars: string = DEBIAN_JARS,
): Found<ZooKeeperInstalled> {
  const jar = join(jars, 'zookeeper.jar')
  if (!existsSync(jar)) {
    return { skipped: `ZooKeeper is not installed (no ${jar}): ${INSTALL_HINT}`, installed: null }
  }
  const java = programPath('java', env)
  if (java === null) return { skipped: `ZooKeeper needs Java, and there is none: ${INSTALL_HINT}`, installed: null }
  return { skipped: null, installed: { java, classPath: [jar, join(jars, 'slf4j-simple.jar')].join(delimiter) } }
}
