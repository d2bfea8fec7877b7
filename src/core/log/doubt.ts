/**
 * Why what a disk holds may not be believed, so that no start goes on with it before its operator has decided. The mark in
 * the log folder is these words: which kind, then the reason. Each kind needs another look and another remedy.
 */
export interface Doubt {
  readonly kind: 'disk' | 'rows' | 'agreement'
  /** What was found, with the position and what both sides hold. */
  readonly reason: string
}

/** Where the operator finds what the remedy speaks of. */
export interface DoubtPlace {
  /** The log folder. */
  readonly path: string
  readonly configFile: string
}

export function doubtText({ kind, reason }: Doubt): string {
  return `${kind}: ${reason}\n`
}

export function doubtOf(text: string): Doubt {
  const [, kind, reason] = /^(disk|rows|agreement): (.*)$/s.exec(text.trim()) ?? []
  // Earlier versions knew one kind, and left its reason only.
  return kind === undefined
    ? { kind: 'disk', reason: text.trim() }
    : { kind: kind as Doubt['kind'], reason: reason ?? '' }
}

/** What to do before this node may start again. */
export function doubtRemedy({ kind }: Doubt, { path, configFile }: DoubtPlace): string {
  const accept = `run \`daybreak log verify ${configFile} --accept\``
  switch (kind) {
    case 'disk':
      return `Check the disk, then ${accept}`
    case 'rows':
      return (
        `The digest that most members have is the right one. If it is not that of this member, remove ${path}/state, and ` +
        `its rows are made again; if it is, do that on the member that led. Then ${accept}`
      )
    case 'agreement':
      return (
        `Compare what all members hold there (\`daybreak log read ${configFile} --from … --to …\`, with the config of each). ` +
        'If most hold what this one holds, stop the member that does not and treat its disk as lost, then ' +
        `${accept}. If not, leave this node stopped and treat its disk as lost`
      )
  }
}

/** Why this node does not start. */
export function doubtRefusal(doubt: Doubt, place: DoubtPlace): string {
  const { path } = place
  const found = {
    disk: `The log at ${path} ended with a disk failure (${doubt.reason}), so what is read from it may not be what was written`,
    rows: `The rows of the log at ${path} are not those of the leader (${doubt.reason})`,
    agreement: `The log at ${path} disagrees with another member on what is committed (${doubt.reason}), and nothing of it was overwritten`,
  }
  return `${found[doubt.kind]}. ${doubtRemedy(doubt, place)}`
}
