/**
 * Sees every replica, every message and every disk at once, and throws the moment something happens that must never
 * happen. It keeps its own account of the log as a tree: a node is an entry together with everything before it, so that
 * "these two logs are equal up to here" is one comparison. It takes nothing from the cores but what they send, write and
 * show; what it knows of the rules it knows for itself.
 */
import { Applier } from '../../../src/core/log/apply.ts'
import { type Ballot, ballotText, compareBallots, sameBallot } from '../../../src/core/log/ballot.ts'
import { foldDigest } from '../../../src/core/log/crc.ts'
import type { Entry } from '../../../src/core/log/entry.ts'
import type { Accept, Entries, PeerMessage } from '../../../src/core/log/messages.ts'
import { type LogMeta, NO_BASE } from '../../../src/core/log/meta.ts'
import type { LogWrite } from '../../../src/core/log/replica-core.ts'
import type { SimDisk } from './disk.ts'
import { rowsDigestChange } from './rows-digest.ts'
import { holds } from './violation.ts'

interface LogNode {
  readonly position: number
  readonly entry: Entry | null
  readonly parent: LogNode | null
}

interface Leader {
  readonly ballot: Ballot
  /** Which process of which member: a restarted one is another. */
  readonly process: string
  /** The log it was elected with. */
  readonly base: readonly LogNode[]
  /** Positions acknowledged to callers come in order. */
  acked: number
}

interface Watched {
  process: string
  /** The log of the running process, flushed or not; the index is the position. */
  log: LogNode[]
  promised: Ballot
  commit: number
  applied: number
  /** What is on disk. */
  flushed: LogNode[]
  /** Up to where the tables on its disk stand for the log. */
  tables: number
  flushedPromise: Ballot
  incarnation: string
  /** Up to where the disk has at some time held the log of the leader of this ballot. */
  readonly proven: Map<string, number>
}

export class Oracle {
  /** What happened to logs besides appends: a simulation in which it does not happen proves nothing about it. */
  readonly counts = { dropped: 0, fetched: 0, installed: 0, checkpoints: 0 }
  /** Told of every entry as it is committed, in order. */
  onCommitted: (entry: Entry) => void = () => {}
  readonly #root: LogNode = { position: 0, entry: null, parent: null }
  /** Every entry ever made, by position. */
  readonly #made: LogNode[][] = [[this.#root]]
  readonly #leaders = new Map<string, Leader>()
  readonly #watched = new Map<number, Watched>()
  readonly #committed: LogNode[] = [this.#root]
  readonly #committedBy: Ballot[] = [[0, 0]]
  readonly #digests: number[] = [0]
  readonly #applier = new Applier(NO_BASE)
  readonly #rows = new Map<string, Uint8Array>()
  readonly #rowsDigests: number[] = [0]

  /** Positions that are committed. */
  get committed(): number {
    return this.#committed.length - 1
  }
  get leadersSeen(): number {
    return this.#leaders.size
  }
  /** The newest ballot that wrote a LEADER entry. */
  get newestBallot(): Ballot {
    let newest: Ballot = [0, 0]
    for (const { ballot } of this.#leaders.values()) if (compareBallots(ballot, newest) > 0) newest = ballot
    return newest
  }

  committedEntry(position: number): Entry | null {
    return this.#committed[position]?.entry ?? null
  }

  /** A process opened its disk. What this disk ever had flushed must be in what it found. */
  opened(memberId: number, boot: number, meta: LogMeta, entries: readonly (Entry | undefined)[]): void {
    const process = `${memberId}#${boot}`
    const before = this.#watched.get(memberId)
    const log = this.#truncatedPart(process, meta)
    for (let at = meta.begin; at <= meta.end; at++) log.push(this.#grow(log[at - 1]!, entries[at]!, process))
    if (before !== undefined && before.incarnation === meta.incarnation) {
      holds(
        compareBallots(meta.promised, before.flushedPromise) >= 0,
        'promised never decreases, across restarts too',
        () => `${process} opened with ${ballotText(meta.promised)} after ${ballotText(before.flushedPromise)}`,
      )
      const tip = before.flushed.length - 1
      holds(
        log[tip] === before.flushed[tip] && log.length >= before.flushed.length,
        'what was flushed is there after a restart',
        () => `${process} opened with ${log.length - 1} positions after ${tip} were flushed`,
      )
    }
    holds(meta.commit <= this.committed, 'only what is committed counts as committed', () => `${process} opened`)
    this.#watched.set(memberId, {
      process,
      log,
      promised: meta.promised,
      commit: meta.commit,
      applied: 0,
      flushed: log.slice(),
      tables: before?.tables ?? 0,
      flushedPromise: meta.promised,
      incarnation: meta.incarnation,
      proven: before?.incarnation === meta.incarnation ? before.proven : new Map(),
    })
  }

  /** A snapshot took the place of everything up to there; what followed it goes on, if it did follow it. */
  installed(memberId: number, position: number, disk: SimDisk): void {
    const replica = this.#of(memberId)
    holds(
      position <= this.committed,
      'only what is committed is applied',
      () => `member ${memberId} installs ${position}`,
    )
    this.counts.installed++
    const path = this.#committed.slice(0, position + 1)
    const follows = replica.flushed[position] === path[position] ? replica.flushed.slice(position + 1) : []
    replica.flushed = [...path, ...follows]
    this.rowsWritten(memberId, disk)
  }

  /** Entries leave for a member that lags. */
  serves(memberId: number, message: Entries): void {
    this.counts.fetched += message.entries.length
    for (const entry of message.entries) {
      const committed = this.committedEntry(entry.position)
      holds(
        committed !== null && committed.crc === entry.crc && sameBallot(committed.ballot, entry.ballot),
        'only what is committed is given to others',
        () => `member ${memberId} gives ${entry.position} of ${ballotText(entry.ballot)}`,
      )
    }
  }

  /** The replica asked its store to write. */
  writes(memberId: number, write: LogWrite): void {
    const replica = this.#of(memberId)
    const { meta } = write
    holds(
      compareBallots(meta.promised, replica.promised) >= 0,
      'promised never decreases, across restarts too',
      () => `${replica.process} writes ${ballotText(meta.promised)} after ${ballotText(replica.promised)}`,
    )
    replica.promised = meta.promised
    if (write.dropBefore !== null) {
      const { dropBefore } = write
      this.counts.dropped++
      holds(
        dropBefore - 1 <= replica.tables,
        'nothing is truncated that the own tables do not stand for',
        () => `${replica.process} drops up to ${dropBefore - 1}, its tables reach to ${replica.tables}`,
      )
      this.#truncatedPart(replica.process, meta)
    }
    this.#change(replica.log, write, replica.process)
    holds(meta.end === replica.log.length - 1, 'the log has no gap', () => `${replica.process} ends at ${meta.end}`)
    const last = replica.log.at(-1)!.entry
    holds(
      last === null || compareBallots(last.ballot, meta.promised) <= 0,
      'no entry is newer than the promise',
      () => `${replica.process} holds ${ballotText(last!.ballot)}, promised ${ballotText(meta.promised)}`,
    )
  }

  /** A write reached the disk. */
  flushed(memberId: number, write: LogWrite): void {
    const replica = this.#of(memberId)
    this.#change(replica.flushed, write, replica.process)
    replica.flushedPromise = write.meta.promised
    const leader = this.#leaders.get(ballotText(write.meta.promised))
    if (leader !== undefined) this.#prove(replica, leader)
  }

  /** A coordinator took over: its first ACCEPT, to its own replica. */
  leads(memberId: number, message: Accept): void {
    const { process } = this.#of(memberId)
    const key = ballotText(message.ballot)
    const known = this.#leaders.get(key)
    holds(
      message.ballot[1] === memberId && (known === undefined || known.process === process),
      'at most one leader per ballot',
      () => `${process} leads with ${key}, which is that of ${known?.process ?? `member ${message.ballot[1]}`}`,
    )
    const { ballot, position } = message.prev
    const tip = position === 0 ? this.#root : this.#find(position, ballot)
    holds(tip !== undefined, 'a leader begins with a log that exists', () => `${key} at ${position}`)
    const leader: Leader = { ballot: message.ballot, process, base: pathTo(tip), acked: 0 }
    for (let at = this.committed; at > 0; at--) {
      if (compareBallots(this.#committedBy[at]!, leader.ballot) >= 0) continue
      this.#keeps(leader, at)
      break
    }
    this.#leaders.set(key, leader)
  }

  /** A coordinator sends entries: it must own the ballot, and nobody else may ever have made others with it. */
  sendsAccept(memberId: number, message: Accept): void {
    const { process } = this.#of(memberId)
    const leader = this.#leaders.get(ballotText(message.ballot))
    holds(
      leader?.process === process,
      'at most one leader per ballot',
      () => `${process} sends ballot ${ballotText(message.ballot)}, which is that of ${leader?.process ?? 'nobody'}`,
    )
    let parent = this.#leaderNode(leader, message.prev.position)
    for (const entry of message.entries) {
      holds(parent !== undefined, 'a leader sends a log without gaps', () => `${process} at ${entry.position}`)
      parent = this.#grow(parent, entry, process)
    }
  }

  /** A reply leaves the replica, for a peer or for its own coordinator. */
  replies(memberId: number, message: PeerMessage): void {
    const replica = this.#of(memberId)
    if (message.type === 'promise') {
      holds(
        compareBallots(replica.flushedPromise, message.ballot) >= 0,
        'a promise leaves after its flush',
        () =>
          `${replica.process} promises ${ballotText(message.ballot)}, on disk ${ballotText(replica.flushedPromise)}`,
      )
    }
    if (message.type === 'accepted') {
      const leader = this.#leaders.get(ballotText(message.ballot))
      if (leader !== undefined) this.#prove(replica, leader)
      const proven = replica.proven.get(ballotText(message.ballot)) ?? -1
      holds(
        leader !== undefined && proven >= message.matched,
        'only flushed entries are acknowledged to the leader',
        () => `${replica.process} says ${message.matched} of ${ballotText(message.ballot)}, flushed are ${proven}`,
      )
    }
  }

  /** A leader has counted its quorum. */
  commits(memberId: number, ballot: Ballot, position: number): void {
    const leader = this.#leaders.get(ballotText(ballot))
    holds(leader !== undefined, 'only a leader commits', () => `member ${memberId} with ${ballotText(ballot)}`)
    const tip = this.#leaderNode(leader, position)
    holds(tip !== undefined, 'a leader commits what it has made', () => `${leader.process} at ${position}`)
    holds(
      tip.entry !== null && sameBallot(tip.entry.ballot, ballot),
      'a leader counts copies of entries of its own ballot only',
      () => `${leader.process} with ${ballotText(ballot)} at ${position} of ${ballotText(tip.entry?.ballot ?? [0, 0])}`,
    )
    const path: LogNode[] = []
    let node = tip
    for (; node.position > this.committed; node = node.parent!) path.push(node)
    const { position: joint } = node
    holds(
      node === this.#committed[joint],
      'one value per position is ever committed',
      () => `${leader.process} commits ${position}, at ${joint} another is committed`,
    )
    for (const next of path.reverse()) {
      this.#committed.push(next)
      this.#committedBy.push(ballot)
      if (next.entry!.type === 'CHECKPOINT') this.counts.checkpoints++
      this.#digests.push(foldDigest(this.#digests.at(-1)!, next.entry!.crc))
      for (const later of this.#leaders.values()) {
        if (compareBallots(later.ballot, ballot) > 0) this.#keeps(later, next.position)
      }
      this.onCommitted(next.entry!)
    }
  }

  /** An append was acknowledged to its caller by the leader of this ballot. */
  acknowledged(ballot: Ballot, position: number, payload: Uint8Array): void {
    const leader = this.#leaders.get(ballotText(ballot))
    const entry = this.committedEntry(position)
    holds(
      leader !== undefined && entry !== null && sameBytes(entry.payload, payload),
      'an acknowledged append is committed at its position',
      () => `position ${position} of ballot ${ballotText(ballot)}`,
    )
    holds(position > leader.acked, 'completions come in position order', () => `${position} after ${leader.acked}`)
    leader.acked = position
  }

  /** After a turn of the replica: what it believes must be so. */
  looks(memberId: number, meta: LogMeta, applied: number): void {
    const replica = this.#of(memberId)
    if (meta.commit === replica.commit && applied === replica.applied) return
    holds(
      meta.commit >= replica.commit && applied >= replica.applied,
      'commit and applied never go back',
      () => `${replica.process}: commit ${replica.commit} to ${meta.commit}, applied ${replica.applied} to ${applied}`,
    )
    if (meta.commit !== replica.commit) {
      holds(
        this.#committed[meta.commit] !== undefined && this.#committed[meta.commit] === replica.log[meta.commit],
        'the committed prefix is the same everywhere',
        () => `${replica.process} at ${meta.commit}, ${this.committed} are committed`,
      )
      holds(
        this.#digests[meta.commit] === meta.digest,
        'the digest of the committed prefix is the same everywhere',
        () => `${replica.process} at ${meta.commit}`,
      )
    }
    replica.commit = meta.commit
    replica.applied = applied
  }

  /** Rows were written: equal position, equal rows. */
  rowsWritten(memberId: number, disk: SimDisk): void {
    const { applied, digest, resumeFrom } = disk.tables
    holds(
      applied <= this.committed,
      'only what is committed is applied',
      () => `member ${memberId} applied ${applied} of ${this.committed}`,
    )
    while (this.#rowsDigests.length <= applied) this.#applyNext()
    holds(
      this.#rowsDigests[applied] === digest,
      'equal applied position, equal rows',
      () => `member ${memberId} at ${applied}`,
    )
    this.#of(memberId).tables = resumeFrom - 1
  }

  /** The log up to where it begins: what is gone must be committed, and be described as it was. */
  #truncatedPart(process: string, { begin, base }: LogMeta): LogNode[] {
    const before = begin - 1
    holds(before <= this.committed, 'only what is committed is truncated', () => `${process} begins at ${begin}`)
    holds(
      base.digest === this.#digests[before] &&
        sameBallot(base.ballot, this.#committed[before]!.entry?.ballot ?? [0, 0]),
      'the base of a log is what was truncated',
      () => `${process} at ${before}: ballot ${ballotText(base.ballot)}`,
    )
    return this.#committed.slice(0, begin)
  }

  /** The chain of one member as it stands on disk, for the end of a run. */
  flushedTip(memberId: number): { readonly position: number; readonly isCommitted: boolean } {
    const tip = this.#of(memberId).flushed.at(-1)!
    return { position: tip.position, isCommitted: this.#committed[tip.position] === tip }
  }

  /** Remembers up to where the disk holds the log of a leader whose ballot it has promised. */
  #prove(replica: Watched, leader: Leader): void {
    if (compareBallots(replica.flushedPromise, leader.ballot) < 0) return
    let position = replica.flushed.length - 1
    while (position > 0 && this.#leaderNode(leader, position) !== replica.flushed[position]) position--
    const key = ballotText(leader.ballot)
    replica.proven.set(key, Math.max(position, replica.proven.get(key) ?? 0))
  }

  #applyNext(): void {
    const { entry } = this.#committed[this.#rowsDigests.length]!
    let digest = this.#rowsDigests.at(-1)!
    for (const { table, key, bytes } of this.#applier.apply([entry!]).rows) {
      const id = `${table}/${key}`
      digest = rowsDigestChange(digest, id, this.#rows.get(id), bytes)
      if (bytes === null) this.#rows.delete(id)
      else this.#rows.set(id, bytes)
    }
    this.#rowsDigests.push(digest)
  }

  #keeps(leader: Leader, position: number): void {
    holds(
      leader.base[position] === this.#committed[position],
      'what is committed is in the log of every later leader',
      () =>
        `${leader.process} leads with ${ballotText(leader.ballot)} without position ${position} ` +
        `of ${ballotText(this.#committedBy[position]!)}`,
    )
  }

  #change(log: LogNode[], write: LogWrite, process: string): void {
    if (write.cutFrom !== null) log.length = Math.min(log.length, write.cutFrom)
    for (const entry of write.entries) {
      holds(entry.position === log.length, 'the log has no gap', () => `${process} writes ${entry.position}`)
      log.push(this.#grow(log.at(-1)!, entry, process))
    }
  }

  /** The node of this entry after that log. One ballot at one position is one log. */
  #grow(parent: LogNode, entry: Entry, process: string): LogNode {
    const known = this.#find(entry.position, entry.ballot)
    if (known === undefined) {
      const made: LogNode = { position: entry.position, entry, parent }
      const others = this.#made[entry.position]
      if (others === undefined) this.#made[entry.position] = [made]
      else others.push(made)
      return made
    }
    holds(
      known.entry!.crc === entry.crc,
      'one value per ballot and position',
      () => `${process} has another ${entry.position} of ${ballotText(entry.ballot)}`,
    )
    holds(
      known.parent === parent,
      'same ballot at a position: identical logs up to there',
      () => `${process} at ${entry.position} of ${ballotText(entry.ballot)}`,
    )
    return known
  }

  #find(position: number, ballot: Ballot): LogNode | undefined {
    return this.#made[position]?.find(node => node.entry !== null && sameBallot(node.entry.ballot, ballot))
  }

  #leaderNode(leader: Leader, position: number): LogNode | undefined {
    return leader.base[position] ?? this.#find(position, leader.ballot)
  }

  #of(memberId: number): Watched {
    return this.#watched.get(memberId)!
  }
}

function pathTo(tip: LogNode): LogNode[] {
  const path: LogNode[] = []
  for (let node: LogNode | null = tip; node !== null; node = node.parent) path[node.position] = node
  return path
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, at) => byte === b[at]))
}
