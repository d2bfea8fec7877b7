// Appends through the log thread until it is killed, and prints every acknowledged key. Run by log-thread.test.ts.
import { batchPayload, encodeTransaction } from '../../../dist/src/core/ledger/payload.js'
import { openLogThread } from '../../../dist/src/runtime/log/log-client.js'

const options = JSON.parse(process.argv[2])
const round = process.argv[3]
const log = await openLogThread(options)
const leading = new Promise(resolve => {
  const viewChanged = view => view.role === 'LEADER' && resolve()
  log.start({ viewChanged, committed() {}, writable() {} }).catch(cause => {
    console.error(cause.message)
    process.exit(1)
  })
})
await leading
const bytes = new Uint8Array(200)
for (let writer = 0; writer < 32; writer++) {
  void (async () => {
    for (let at = 0; ; at++) {
      const key = `${round}-${writer}-${at}`
      const payload = batchPayload([encodeTransaction({ who: 'w', why: 'y', wallMs: 1 }, [{ table: 1, key, bytes }])])
      const result = await log.append(payload)
      if (result.type !== 'ok') return
      process.stdout.write(`${key}\n`)
    }
  })()
}
