/**
 * A process of its own that reads a whole LMDB environment, and begins a write that it gives up, so that the list of
 * free pages is read too. Ends with status 0 when that went well; else with what LMDB said, or by the signal that would
 * have ended the node. Run by `beginOpening`, which holds the store's lock or is its only user.
 */
import { ABORT, open } from 'lmdb'

const [folder = '', ...tables] = process.argv.slice(2)
const options = { encoding: 'binary', keyEncoding: 'binary' } as const

try {
  const root = open<Buffer, Buffer>({ path: folder, noSubdir: false, maxDbs: 4, overlappingSync: false, ...options })
  const databases = tables.length === 0 ? [root] : tables.map(name => root.openDB<Buffer, Buffer>(name, options))
  for (const database of databases) {
    let last: Buffer | null = null
    for (const { key, value } of database.getRange({})) {
      if (last !== null && Buffer.compare(last, key) >= 0) throw new Error('keys are not in order')
      last = Buffer.from(key)
      Buffer.from(value)
    }
    root.transactionSync(() => {
      database.put(Buffer.from([0]), Buffer.from([0]))
      return ABORT
    })
  }
  await root.close()
} catch (cause) {
  process.stderr.write(`${cause instanceof Error ? cause.message : String(cause)}\n`)
  process.exitCode = 1
}
