import { BrokenRule } from '../core/base/assert.ts'

/** One exit status per kind of ending; docs/operating/exit-status.md lists the same set and a test compares them. */
export const EXIT = {
  ok: 0,
  /** A command was refused or failed; also Aurora's catch-all for clients is 4, see the client's own table. */
  failed: 1,
  usage: 2,
  /** A bug: a broken rule. */
  bug: 70,
  /** The store: a failed flush, a foreign or damaged store, or one that another process holds. */
  store: 75,
  /** Somebody asked for it over HTTP, at once. */
  aborted: 76,
  /** A port is taken, a folder cannot be made or written. */
  place: 77,
  /** The config file. */
  config: 78,
} as const
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]

/** Why a node cannot go on, in words for its operator, and the status it ends with. */
export class NodeFailure extends Error {
  override readonly name = 'NodeFailure'
  readonly status: ExitStatus

  constructor(status: ExitStatus, text: string, cause?: unknown) {
    super(text, { cause })
    this.status = status
  }
}

/** What the system says when a port or a folder cannot be had. */
const PLACE_CODES: ReadonlySet<string> = new Set([
  'EADDRINUSE',
  'EADDRNOTAVAIL',
  'EACCES',
  'EPERM',
  'ENOENT',
  'ENOTDIR',
  'EROFS',
  'ENOSPC',
  'EDQUOT',
])

/** The status for whatever made a node fail; what nobody foresaw is a bug. */
export function exitStatusOf(cause: unknown): ExitStatus {
  if (cause instanceof NodeFailure) return cause.status
  if (cause instanceof BrokenRule || !(cause instanceof Error)) return EXIT.bug
  // Errors of the log thread arrive as plain errors that have kept their name.
  if (cause.name === 'LogRefused') return EXIT.store
  if (cause.name === 'PeerPlaceRefused' || cause.name === 'PlaceError') return EXIT.place
  if ('code' in cause && typeof cause.code === 'string' && PLACE_CODES.has(cause.code)) return EXIT.place
  return EXIT.bug
}
