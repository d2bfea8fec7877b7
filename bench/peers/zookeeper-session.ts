/** Sessions of ZooKeeper with one server each, so that the bench decides which server is asked. */
import zookeeper, { type Client } from 'node-zookeeper-client'

/** Lower than what users take, so that it is not ours that is waited for: the servers' own limits hold anyway. */
const SPIN_MS = 10
const SESSION_MS = 30_000
const CONNECT_MS_MAX = 20_000
const CLOSE_MS_MAX = 2_000

export function openSession(address: string): Promise<Client> {
  const client = zookeeper.createClient(address, { sessionTimeout: SESSION_MS, spinDelay: SPIN_MS })
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      client.close()
      reject(new Error(`no session with ZooKeeper at ${address} within ${CONNECT_MS_MAX / 1_000} s`))
    }, CONNECT_MS_MAX)
    client.once('connected', () => {
      clearTimeout(late)
      resolve(client)
    })
    client.connect()
  })
}

/** Also if the server is gone. */
export function closeSession(client: Client): Promise<void> {
  return new Promise(resolve => {
    const late = setTimeout(resolve, CLOSE_MS_MAX)
    client.once('disconnected', () => {
      clearTimeout(late)
      resolve()
    })
    client.close()
  })
}

export function createZnode(client: Client, path: string, value: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    client.create(path, value, cause => {
      const isThere = (cause as { name?: string } | null)?.name === 'NODE_EXISTS'
      if (cause === null || cause === undefined || isThere) resolve()
      else reject(cause as unknown as Error)
    })
  })
}

/** Whatever version is there. `done` is told what failed, or null. */
export function setData(client: Client, path: string, value: Buffer, done: (fault: string | null) => void): void {
  client.setData(path, value, -1, cause => done(cause ? String(cause) : null))
}
