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
  /** A port is taken, a folder cannot be made or written. */
  place: 77,
  /** The config file. */
  config: 78,
} as const
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT]
