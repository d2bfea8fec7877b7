/** Writes rows into the logs of a cluster whose nodes do not run: three log threads, an ordinary quorum, no scheduler. */
import { readFileSync } from 'node:fs'
import { loadConfig } from '../../src/runtime/config-read.ts'
import { type LogThread, openLogThread } from '../../src/runtime/log/log-client.ts'
import { logOptionsOf } from '../../src/runtime/log/log-options.ts'
import { payloads, type Sizes } from './rows.ts'

const LEADER_MS_MAX = 60_000
const IN_FLIGHT = 8
const RETRY_MS = 50

export async function fill(configs: readonly string[], sizes: Sizes): Promise<void> {
  const logs: LogThread[] = []
  try {
    let leader: LogThread | null = null
    for (const path of configs) {
      const loaded = loadConfig(path)
      if (!loaded.ok) throw new Error(`${path}: ${JSON.stringify(loaded.faults)}`)
      const { config } = loaded
      const secret = readFileSync(config.cluster.secretFile!, 'utf8').trim()
      const log = await openLogThread(logOptionsOf(config, path, '', { secret, tls: null }))
      logs.push(log)
      await log.start({
        viewChanged: view => {
          if (view.role === 'LEADER') leader = log
        },
        committed: () => {},
        writable: () => {},
      })
    }
    await append(() => leader, payloads(sizes, Date.now()))
    await applied(logs)
  } finally {
    await Promise.all(logs.map(log => log.terminate()))
  }
}

/** On a busy machine leadership may change: what may not have been written is written again, as a row is put whole. */
async function append(leader: () => LogThread | null, source: Iterator<Uint8Array>): Promise<void> {
  const writer = async (): Promise<void> => {
    for (let next = source.next(); next.done !== true; next = source.next()) {
      for (const endMs = performance.now() + LEADER_MS_MAX; ; await new Promise(done => setTimeout(done, RETRY_MS))) {
        const result = await leader()?.append(next.value)
        if (result?.type === 'ok') break
        if (performance.now() > endMs)
          throw new Error(`an append of the fill was answered ${result?.type ?? 'by no leader'} for too long`)
      }
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
