/** Writes rows into the logs of a cluster whose nodes do not run: three log threads, an ordinary quorum, no scheduler. */
import { readFileSync } from 'node:fs'
import { loadConfig } from '../../src/runtime/config-read.ts'
import { type LogThread, openLogThread } from '../../src/runtime/log/log-client.ts'
import { logOptionsOf } from '../../src/runtime/log/log-options.ts'
import { payloads, type Sizes } from './rows.ts'

const LEADER_MS_MAX = 60_000
const IN_FLIGHT = 8

export async function fill(configs: readonly string[], sizes: Sizes): Promise<void> {
  const logs: LogThread[] = []
  try {
    let leads: (log: LogThread) => void = () => {}
    const leader = new Promise<LogThread>((resolve, reject) => {
      leads = resolve
      setTimeout(
        () => reject(new Error(`no leader to fill the log within ${LEADER_MS_MAX / 1_000} s`)),
        LEADER_MS_MAX,
      ).unref()
    })
    for (const path of configs) {
      const loaded = loadConfig(path)
      if (!loaded.ok) throw new Error(`${path}: ${JSON.stringify(loaded.faults)}`)
      const { config } = loaded
      const secret = readFileSync(config.cluster.secretFile!, 'utf8').trim()
      const log = await openLogThread(logOptionsOf(config, path, '', { secret, tls: null }))
      logs.push(log)
      await log.start({
        viewChanged: view => {
          if (view.role === 'LEADER') leads(log)
        },
        committed: () => {},
        writable: () => {},
      })
    }
    await append(await leader, payloads(sizes, Date.now()))
    await applied(logs)
  } finally {
    await Promise.all(logs.map(log => log.terminate()))
  }
}

async function append(log: LogThread, source: Iterator<Uint8Array>): Promise<void> {
  const writer = async (): Promise<void> => {
    for (let next = source.next(); next.done !== true; next = source.next()) {
      const result = await log.append(next.value)
      if (result.type !== 'ok') throw new Error(`an append of the fill was answered ${result.type}`)
    }
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, writer))
}

async function applied(logs: readonly LogThread[]): Promise<void> {
  for (;;) {
    const all = await Promise.all(logs.map(log => log.status()))
    if (all.every(({ end, applied }) => end === all[0]!.end && applied === end)) return
    await new Promise(done => setTimeout(done, 20))
  }
}
