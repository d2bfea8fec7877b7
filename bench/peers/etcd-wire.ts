/**
 * The little of etcd's gRPC interface that the benches speak (`etcdserverpb`, KV.Put and Maintenance.Status), by hand: two
 * messages of a few fields cost less code than a generator, and nothing of a client is in the way of the server.
 */
import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js'

const PUT = '/etcdserverpb.KV/Put'
const STATUS = '/etcdserverpb.Maintenance/Status'
const NO_BYTES = Buffer.alloc(0)
const metadata = new Metadata()

/** A connection of its own each, even to the same address. */
export function connectEtcd(address: string): Client {
  return new Client(address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    // A node that comes back is dialled again soon; the default may wait for two minutes.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 200,
  })
}

/** `request` is made by `putRequest`. `done` is told what failed, or null. */
export function put(
  client: Client,
  request: Buffer,
  deadlineMs: number,
  done: (fault: ServiceError | null) => void,
): void {
  const deadline = Date.now() + deadlineMs
  client.makeUnaryRequest(PUT, asIs, asIs, request, metadata, { deadline }, fault => done(fault))
}

export interface EtcdStatus {
  readonly version: string
  readonly memberId: bigint
  /** 0 while there is none. */
  readonly leader: bigint
  readonly raftIndex: bigint
  readonly raftAppliedIndex: bigint
}

export function status(client: Client, deadlineMs: number): Promise<EtcdStatus> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + deadlineMs
    client.makeUnaryRequest(STATUS, asIs, readStatus, NO_BYTES, metadata, { deadline }, (fault, answer) => {
      if (fault !== null || answer === undefined) reject(fault ?? new Error('an empty answer'))
      else resolve(answer)
    })
  })
}

const asIs = (bytes: Buffer): Buffer => bytes

/** PutRequest: key is field 1, value is field 2. */
export function putRequest(key: string, value: Uint8Array): Buffer {
  const keyBytes = Buffer.from(key)
  return Buffer.concat([Buffer.from([0x0a]), size(keyBytes), keyBytes, Buffer.from([0x12]), size(value), value])
}

function size(bytes: Uint8Array): Buffer {
  const out: number[] = []
  let left = bytes.length
  for (; left >= 0x80; left >>>= 7) out.push((left & 0x7f) | 0x80)
  return Buffer.from([...out, left])
}

/** StatusResponse: header 1 (in it member_id 2), version 2, leader 4, raftIndex 5, raftAppliedIndex 7. */
export function readStatus(bytes: Buffer): EtcdStatus {
  const fields = readFields(bytes)
  const header = readFields((fields.get(1) as Buffer | undefined) ?? NO_BYTES)
  const number = (of: Fields, field: number): bigint => (of.get(field) as bigint | undefined) ?? 0n
  return {
    version: ((fields.get(2) as Buffer | undefined) ?? NO_BYTES).toString(),
    memberId: number(header, 2),
    leader: number(fields, 4),
    raftIndex: number(fields, 5),
    raftAppliedIndex: number(fields, 7),
  }
}

type Fields = ReadonlyMap<number, bigint | Buffer>

/** Numbers and byte strings; nothing else is in these messages. */
function readFields(bytes: Buffer): Fields {
  const fields = new Map<number, bigint | Buffer>()
  let at = 0
  const varint = (): bigint => {
    let value = 0n
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('a message of etcd is cut')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
  }
  while (at < bytes.length) {
    const tag = Number(varint())
    const kind = tag & 7
    if (kind === 0) fields.set(tag >>> 3, varint())
    else if (kind === 2) {
      const length = Number(varint())
      if (at + length > bytes.length) throw new Error('a message of etcd is cut')
      fields.set(tag >>> 3, bytes.subarray(at, at + length))
      at += length
    } else throw new Error(`a message of etcd has a field of kind ${kind}, which no message has that is read here`)
  }
  return fields
}
