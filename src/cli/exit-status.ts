/** Exit statuses of the client; Aurora's numbers where it has one. `daybreak start` has a table of its own. */
export const CLIENT_EXIT = {
  ok: 0,
  /** Asked for with `--exit-code`: there are differences. */
  differs: 1,
  /** The arguments cannot be read. */
  usage: 2,
  /** The job file is faulty, or the cluster unknown. */
  configuration: 3,
  /** The command was understood and did not succeed. */
  commandFailed: 4,
  /** A parameter that makes no sense here, or nothing of that name. */
  notFound: 6,
  /** No scheduler could be reached. */
  network: 7,
  /** It did not happen in time. */
  timeout: 9,
  /** The scheduler refused. */
  refused: 10,
  /** A bug of the client. */
  fatal: 20,
  /** Not logged in, or not allowed. */
  authentication: 30,
  interrupted: 130,
} as const
export type ClientExit = (typeof CLIENT_EXIT)[keyof typeof CLIENT_EXIT]
