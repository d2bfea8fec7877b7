/**
 * The proof that the simulation can find anything: known bugs of such logs, put back one at a time. A mutation is an edit
 * of the built program, made in a copy of it in a temporary folder, so the product carries no switches; an edit that no
 * longer fits is an error, never a silent pass. The assertions of the product are off in the copy: the oracle alone has
 * to find the bug, and where one rule would show it at once (`blind`), by what follows from it.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { transformSync } from 'esbuild'
import type { simulateTasks, TaskRunResult } from '../tasks/simulation.ts'
import type { RunOptions, RunResult, simulate } from './simulation.ts'

export type Profile = 'log' | 'tasks'

interface Edit {
  /** In the built program, without its ending. */
  readonly file: string
  /** Stands there exactly once, line breaks and indentation aside. */
  readonly find: string
  readonly put: string
}

interface Mutation {
  readonly name: string
  readonly edits: readonly Edit[]
  /** Rules of the oracle that do not count here. */
  readonly blind?: readonly string[]
}

const REPLICA = 'src/core/log/replica-core'
const RESTORE = 'src/core/log/restore'
const COORDINATOR = 'src/core/log/coordinator-core'
const LEASE = 'src/core/log/lease'
const AGENT_LIST = 'src/core/task/agent-list'

const LOG_MUTATIONS: readonly Mutation[] = [
  {
    name: 'accept-without-promise',
    edits: [
      {
        file: REPLICA,
        find: 'const isNewBallot = compareBallots(ballot, this.#meta.promised) > 0;',
        put: 'const isNewBallot = false;',
      },
      {
        file: REPLICA,
        find: 'this.#persist({ promised: ballot }, taken.cutFrom, taken.entries)',
        put: 'this.#persist({}, taken.cutFrom, taken.entries)',
      },
    ],
    blind: ['no entry is newer than the promise', 'only flushed entries are acknowledged to the leader'],
  },
  {
    name: 'blank-disk-votes',
    edits: [
      {
        file: 'test/sim/log/faults',
        find: "node.end(() => 0); node.status = 'lost';",
        put: 'node.end(() => 0); node.disk.wipe(); this.#queue.after(forMs, () => node.start());',
      },
    ],
    blind: ['promised never decreases, across restarts too', 'what was flushed is there after a restart'],
  },
  {
    name: 'refused-leader-goes-on',
    edits: [
      {
        file: COORDINATOR,
        find: 'if (isOurs) return this.#lose(',
        put: "if (isOurs && this.#role === 'leading') { this.#ballot = message.promised; return []; } if (isOurs) return this.#lose(",
      },
    ],
  },
  {
    name: 'ack-before-flush',
    edits: [
      {
        file: REPLICA,
        find: 'if (this.#flushedTicket >= this.#ticket && this.#waiting.length === 0) return effects;',
        put: 'return effects;',
      },
    ],
    blind: ['a promise leaves after its flush', 'only flushed entries are acknowledged to the leader'],
  },
  {
    name: 'lease-from-receipt',
    edits: [
      {
        file: 'src/core/log/follower-feed',
        find: 'follower.echoMs = Math.max(follower.echoMs, message.sentAtMs); follower.answeredMs',
        put: 'follower.echoMs = now.monoMs; follower.answeredMs',
      },
    ],
  },
  {
    name: 'older-ballot-counted',
    edits: [
      {
        file: COORDINATOR,
        find: 'if (reached < this.#leaderPosition || reached <= this.#commit)',
        put: 'if (reached <= this.#commit)',
      },
    ],
  },
  {
    name: 'vote-for-less-advanced',
    edits: [
      {
        file: REPLICA,
        find: 'if (compareEnds(message.last, this.last) < 0) return',
        put: 'if (false) return',
      },
      { file: REPLICA, find: 'compareEnds(message.last, this.last) >= 0', put: 'true' },
    ],
  },
  {
    name: 'duplicate-shortens-log',
    edits: [
      {
        file: REPLICA,
        find: 'return { conflict: null, cutFrom, entries: taken };',
        put: `const from = Math.max(expected, this.#meta.commit + 1);
          if (message.entries.length > 0 && taken.length === 0 && this.#runs.end >= from) {
            this.#runs.cutFrom(from);
            cutFrom = from;
          }
          return { conflict: null, cutFrom, entries: taken };`,
      },
      {
        file: REPLICA,
        find: 'if (isNewBallot || taken.entries.length > 0)',
        put: 'if (isNewBallot || taken.cutFrom !== null || taken.entries.length > 0)',
      },
    ],
  },
  {
    name: 'nop-for-lost-entry',
    edits: [
      {
        file: REPLICA,
        find: 'if (!this.#holds(prev)) {',
        put: `if (prev.position === this.#runs.end + 1 && entries.length > 0) {
            const nop = makeEntry(prev.position, prev.ballot, 'NOP', new Uint8Array(0));
            this.#runs.push(nop.position, nop.ballot);
            this.#crcs.set(nop.position, nop.crc);
            effects.push(this.#persist({ promised: ballot }, null, [nop]));
          }
          if (!this.#holds(prev)) {`,
      },
      {
        file: REPLICA,
        find: 'import { checksumText, foldDigest }',
        put: "import { makeEntry } from './entry.js'; import { checksumText, foldDigest }",
      },
    ],
    blind: ['one value per ballot and position'],
  },
  {
    name: 'bad-record-never-written',
    edits: [
      {
        file: RESTORE,
        find: 'if (position > expected && !missing(expected, position - 1)) return',
        put: 'if (position > expected) break; if (false) return',
      },
      { file: RESTORE, find: 'if (!record.ok) {', put: 'if (!record.ok) break; if (false) {' },
      {
        file: RESTORE,
        find: 'if (expected - 1 < meta.end && !missing(expected, meta.end)) return',
        put: `if (expected - 1 < meta.end) {
          meta = { ...meta, end: expected - 1, commit: Math.min(meta.commit, expected - 1), digest };
        }
        if (false) return`,
      },
    ],
    blind: ['what was flushed is there after a restart'],
  },
  {
    name: 'suspend-not-noticed',
    edits: [
      { file: LEASE, find: 'if (Math.abs(apartMs) > CLOCKS_APART_MS_MAX) return 0;', put: '' },
      { file: LEASE, find: 'untilMonoMs - now.monoMs - Math.max(0, apartMs)', put: 'untilMonoMs - now.monoMs' },
    ],
  },
]

/** Bugs of the life cycle of tasks, of the ledger and of agents. */
const TASK_MUTATIONS: readonly Mutation[] = [
  {
    name: 'lost-not-replaced',
    edits: [
      {
        file: 'src/core/task/transitions',
        find: "const LOSE = ['SAVE', 'RESCHED', 'KILL'];",
        put: "const LOSE = ['SAVE', 'KILL'];",
      },
    ],
    blind: ['every owed replacement is made'],
  },
  {
    name: 'stray-not-killed',
    edits: [
      { file: AGENT_LIST, find: 'if (one.live) kill.push(id); else if', put: 'if (one.live) ; else if' },
      { file: AGENT_LIST, find: 'if (!braked) kill.push(...unknownLive);', put: '' },
    ],
  },
  {
    name: 'kill-not-sent-again',
    edits: [
      { file: 'src/actors/task-state-machine', find: 'if (isKillOwed(row)) armKill(row, 0);', put: '' },
      { file: 'src/actors/task-directory', find: 'if (isKillOwed(row)) sendKill(world, row);', put: '' },
      { file: AGENT_LIST, find: '(isKillOwed(row) || !here.has(id))', put: '!here.has(id)' },
      {
        file: 'src/core/task/deadlines',
        find: 'if (!TRANSIENT.has(row.status))',
        put: "if (!TRANSIENT.has(row.status) || row.status === 'KILLING')",
      },
    ],
  },
  {
    name: 'answered-before-commit',
    edits: [
      {
        file: 'src/actors/job-keeper',
        find: 'changes }, () => void command.replyTo.tell(outcome),',
        put: 'changes }, command.replyTo.tell(outcome),',
      },
    ],
  },
  {
    name: 'launched-before-commit',
    edits: [
      {
        file: 'src/actors/task-transition',
        find: 'ledger.stage({ cause, changes }, settled);',
        put: 'ledger.stage({ cause, changes }); settled();',
      },
    ],
    blind: ['the end of a task is acknowledged once it is committed'],
  },
  {
    name: 'repeated-request-begins-anew',
    edits: [
      {
        file: 'src/actors/job-keeper',
        find: 'return operations.resume(command, known.outcome);',
        put: 'return operations.begin(command);',
      },
    ],
  },
  {
    name: 'wait-by-the-clock-of-the-next-leader',
    edits: [
      { file: 'src/core/task/deadlines', find: 'Math.min(atMs - nowMs, atMs - sinceMs(row))', put: 'atMs - nowMs' },
    ],
  },
]

const MUTATIONS: Readonly<Record<Profile, readonly Mutation[]>> = { log: LOG_MUTATIONS, tasks: TASK_MUTATIONS }

export function mutationNames(profile: Profile): readonly string[] {
  return MUTATIONS[profile].map(({ name }) => name)
}

/** Where this file was built to: the root of `dist`. */
const BUILT = join(import.meta.dirname, '..', '..', '..')
const PARTS = ['src', 'test/sim', 'test/fixtures']
/** Source maps and declarations are most of the files, and nobody reads those of a mutant. */
const isRun = (path: string): boolean => !path.endsWith('.map') && !path.endsWith('.d.ts')

export interface Found {
  /** How many were run, this one included. */
  readonly seeds: number
  readonly invariant: string
}

/** Throws where an edit does not fit what is built in `built` any more, or leaves no JavaScript. Runs nothing. */
export function checkMutations(profile: Profile, built: string): void {
  for (const { edits, blind } of MUTATIONS[profile]) {
    const texts = new Map<string, string>()
    for (const edit of [...edits, ...oracleEdits(blind)]) {
      const text = texts.get(edit.file) ?? readFileSync(join(built, `${edit.file}.js`), 'utf8')
      texts.set(edit.file, edited(text, edit))
    }
    for (const text of texts.values()) transformSync(text)
  }
}

/** Runs seed after seed of a mutant until one fails; null when none did. */
export async function proveMutation(
  name: string,
  options: {
    readonly profile: Profile
    readonly seedsMax: number
    readonly from?: number
    readonly built?: string
    readonly nodes?: number | undefined
  },
): Promise<Found | null> {
  const { profile, seedsMax, from = 1, built = BUILT, nodes } = options
  const mutation = MUTATIONS[profile].find(known => known.name === name)!
  const folder = mkdtempSync(join(tmpdir(), 'daybreak-mutant-'))
  try {
    for (const part of PARTS) cpSync(join(built, part), join(folder, part), { recursive: true, filter: isRun })
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    symlinkSync(join(built, '..', 'node_modules'), join(folder, 'node_modules'))
    for (const edit of [...mutation.edits, ...oracleEdits(mutation.blind)]) {
      const path = join(folder, `${edit.file}.js`)
      writeFileSync(path, edited(readFileSync(path, 'utf8'), edit))
    }
    const run = await mutant(folder, profile)
    for (let seeds = 1; seeds <= seedsMax; seeds++) {
      const { failure } = await run(from + seeds - 1, { nodes })
      if (failure !== null) return { seeds, invariant: failure.invariant }
    }
    return null
  } finally {
    rmSync(folder, { recursive: true })
  }
}

type Simulate = (
  seed: number,
  options: RunOptions,
) => Pick<RunResult, 'failure'> | Promise<Pick<TaskRunResult, 'failure'>>

async function mutant(folder: string, profile: Profile): Promise<Simulate> {
  const module: unknown = await import(pathToFileURL(join(folder, `test/sim/${profile}/simulation.js`)).href)
  if (profile === 'log') return (module as { readonly simulate: typeof simulate }).simulate
  return (module as { readonly simulateTasks: typeof simulateTasks }).simulateTasks
}

/** The oracle alone has to find the bug, and not by the rules that would show it at once. */
const oracleEdits = (blind: readonly string[] = []): readonly Edit[] => [
  { file: 'src/core/base/assert', find: 'if (!holds)', put: 'if (false)' },
  {
    file: 'test/sim/log/violation',
    find: 'if (!condition)',
    put: `if (!condition && !${JSON.stringify(blind)}.includes(invariant))`,
  },
]

function edited(text: string, { file, find, put }: Edit): string {
  const pattern = new RegExp(
    find
      .split(/\s+/)
      .map(word => word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
      .join('\\s+'),
    'g',
  )
  const times = text.match(pattern)?.length ?? 0
  if (times !== 1) throw new Error(`the mutation of ${file} fits ${times} times instead of once: ${find}`)
  return text.replace(pattern, () => put)
}
