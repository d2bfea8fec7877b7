/**
 * Throws broken messages at the Thrift interface: at the codec, and every so many also through HTTP at the handlers of a
 * node. What must hold: nothing is thrown, no input takes long, every answer is well-formed and names the call it is for.
 */
import { prng } from '../../src/core/base/prng.ts'
import { BinaryReader } from '../../src/wire/thrift/binary-reader.ts'
import { type Protocol, readCall } from '../../src/wire/thrift/message.ts'
import { structPlan, WIRE } from '../../src/wire/thrift/plan.ts'
import { httpNode } from '../fixtures/http-node.ts'
import { agentRow, configRow, HELLO, jobRow, putAgent, putConfig, putJob, putTask, taskRow } from '../fixtures/rows.ts'
import { type Input, mutated, wellFormed } from './inputs.ts'

export interface FuzzOptions {
  readonly seed: number
  readonly inputs: number
  /** One input in so many goes to the handlers too. */
  readonly handledOneIn: number
  readonly onProgress?: (done: number) => void
}

export interface FuzzReport {
  readonly inputs: number
  readonly handled: number
  /** By how the codec took them. */
  readonly read: Readonly<Record<'call' | 'refusal' | 'unreadable', number>>
  /** By status of HTTP, and by code of the reply. */
  readonly answers: Readonly<Record<string, number>>
  readonly slowestMs: number
  readonly failures: readonly FuzzFailure[]
}

export interface FuzzFailure {
  readonly what: string
  readonly made: string
  readonly protocol: Protocol
  /** Hex. */
  readonly bytes: string
}

/** A message of some hundred bytes is read in far less, also on a machine that is busy. */
const SLOW_MS = 250
const FAILURES_MAX = 20
const TYPES = { binary: 'application/vnd.apache.thrift.binary', json: 'application/vnd.apache.thrift.json' } as const

export async function fuzzThrift({ seed, inputs, handledOneIn, onProgress }: FuzzOptions): Promise<FuzzReport> {
  const random = prng(seed)
  const node = filledNode()
  const read = { call: 0, refusal: 0, unreadable: 0 }
  const answers: Record<string, number> = {}
  const failures: FuzzFailure[] = []
  let handled = 0
  let slowestMs = 0
  let other = wellFormed(random)
  for (let n = 0; n < inputs && failures.length < FAILURES_MAX; n++) {
    const whole = wellFormed(random)
    const input = random.next() < 0.1 ? whole : mutated(whole, other, random)
    other = whole
    const failed = (what: string): void => {
      const { made, protocol, bytes } = input
      failures.push({ what, made, protocol, bytes: bytes.toString('hex') })
    }
    const before = performance.now()
    try {
      read[readCall(input.bytes, input.protocol).type]++
    } catch (cause) {
      failed(`the codec threw ${String(cause)}`)
    }
    const tookMs = performance.now() - before
    slowestMs = Math.max(slowestMs, tookMs)
    if (tookMs > SLOW_MS) failed(`the codec took ${Math.round(tookMs)} ms`)
    if (n % handledOneIn !== 0) continue
    handled++
    try {
      const kind = await handle(node, input)
      answers[kind] = (answers[kind] ?? 0) + 1
    } catch (cause) {
      failed(`the handlers: ${cause instanceof Error ? cause.message : String(cause)}`)
    }
    node.told.length = 0
    node.asked.length = 0
    if (handled % 1000 === 0) onProgress?.(n + 1)
  }
  await node.app.close()
  return { inputs, handled, read, answers, slowestMs, failures }
}

/** With a job, so that there is something to read and to kill. */
function filledNode(): ReturnType<typeof httpNode> {
  const node = httpNode()
  node.ledger.put(
    putAgent(agentRow('h1')),
    putConfig(configRow('c1')),
    putJob(jobRow(HELLO)),
    ...Array.from({ length: 5 }, (_, instance) => putTask(taskRow(`t${instance}`, { instance, status: 'RUNNING' }))),
  )
  node.system.run()
  return node
}

async function handle({ app, system }: ReturnType<typeof httpNode>, { bytes, protocol }: Input): Promise<string> {
  const accept = TYPES[protocol]
  const asked = app.inject({ method: 'POST', url: '/api', payload: bytes, headers: { 'content-type': accept, accept } })
  const answered = asked.then(() => {})
  let isDone = false
  void answered.then(() => {
    isDone = true
  })
  for (let turn = 0; turn < 100 && !isDone; turn++) {
    system.run()
    await new Promise(resolve => setImmediate(resolve))
  }
  if (!isDone) throw new Error('no answer')
  const response = await asked
  const { statusCode } = response
  if (statusCode === 500) {
    if (!response.body.startsWith('The body is no Thrift message')) throw new Error(`500: ${response.body}`)
    return '500'
  }
  if (statusCode !== 200) throw new Error(`status ${statusCode}: ${response.body}`)
  const code = protocol === 'json' ? jsonCode(response.body) : binaryCode(response.rawPayload)
  return code === null ? 'exception' : `code ${code}`
}

/** The code of a reply; null for an exception. Throws where it is neither. */
function jsonCode(body: string): number | null {
  const [version, name, kind, seqid, fields] = JSON.parse(body) as [number, string, number, number, never]
  if (version !== 1 || typeof name !== 'string' || !Number.isInteger(seqid)) throw new Error(`no head: ${body}`)
  if (kind === 3) return null
  const code = (fields as Record<string, { rec: Record<string, { i32: number }> }>)['0']?.rec['1']?.i32
  if (kind !== 2 || code === undefined) throw new Error(`no reply: ${body}`)
  return code
}

function binaryCode(bytes: Buffer): number | null {
  const reader = new BinaryReader(bytes)
  const kind = reader.i32() & 0xff
  reader.string()
  reader.i32()
  if (kind === 3) return null
  if (kind !== 2 || reader.byte() !== WIRE.struct || reader.byte() !== 0 || reader.byte() !== 0)
    throw new Error(`no reply: ${bytes.toString('hex')}`)
  const response = reader.struct(structPlan('Response'))
  if (reader.byte() !== 0 || reader.at !== bytes.length) throw new Error('bytes are left behind the reply')
  if (typeof response.responseCode !== 'string') throw new Error('a reply without a code')
  return CODES.indexOf(response.responseCode)
}

const CODES = ['INVALID_REQUEST', 'OK', 'ERROR', 'WARNING', 'AUTH_FAILED', 'JOB_UPDATING_ERROR', 'ERROR_TRANSIENT']
