/** Throw-away log folders and payloads for the tests of this folder. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { batchPayload, encodeTransaction } from '../../../src/core/ledger/payload.ts'
import type { LogNodeOptions } from '../../../src/runtime/log/log-options.ts'

/** Removed when the test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-log-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

export function logOptions(path: string, change: Partial<LogNodeOptions> = {}): LogNodeOptions {
  return {
    path,
    memberId: 1,
    clusterId: null,
    members: [{ memberId: 1, name: 'node-1', address: 'alone' }],
    httpUrl: 'http://127.0.0.1:8081',
    configFile: 'node.yaml',
    autoBootstrap: true,
    space: { ballastBytes: 0, reserveBytes: 0, alarmBytes: 0 },
    ...change,
  }
}

export const THREE = [1, 2, 3].map(memberId => ({
  memberId,
  name: `node-${memberId}`,
  address: `127.0.0.1:80${memberId}3`,
}))

/** A payload that puts one row into the task table. */
export function putRow(key: string, value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value)
  return batchPayload([encodeTransaction({ who: 'tester', why: 'test', wallMs: 1 }, [{ table: 1, key, bytes }])])
}

export function deleteRow(key: string): Uint8Array {
  return batchPayload([encodeTransaction({ who: 'tester', why: 'test', wallMs: 1 }, [{ table: 1, key, bytes: null }])])
}
