/** Why a task was placed where it is, in sentences, from the record that was written with its ASSIGNED. */
import type { PlacementCandidate, PlacementRecord } from '../ledger/rows.ts'

export function placementStory(record: PlacementRecord): readonly string[] {
  const { candidates, hosts, looked, tasks, policy, seed, claim } = record
  const [chosen, ...others] = candidates
  if (chosen === undefined) return []
  const group =
    tasks === 1
      ? 'It was served alone'
      : `It was served with ${tasks - 1} more ${tasks === 2 ? 'task' : 'tasks'} of its configuration`
  const connected = hosts === 1 ? '1 host was connected' : `${hosts} hosts were connected`
  return [
    `${group}; ${connected}, ${looked} ${looked === 1 ? 'was' : 'were'} looked at.`,
    ...whyChosen(chosen, policy, claim),
    ...others.map(other => `Next best was ${other.host}: ${scoreText(other)}.`),
    `The same cluster and the seed ${seed} give the same places again.`,
  ]
}

function whyChosen(chosen: PlacementCandidate, policy: string, claim: PlacementRecord['claim']): readonly string[] {
  if (claim === 'preemption') return [`${chosen.host} was taken because room had been made for it there by preemption.`]
  if (claim === 'affinity') return [`${chosen.host} was taken because its place there was kept during its update.`]
  if (chosen.score !== undefined) return [`${chosen.host} was the best of those that fitted: ${scoreText(chosen)}.`]
  if (policy.startsWith('RANDOM')) {
    return [
      `${chosen.host} was the first in a random order that fitted; other hosts were not compared (order ${policy}).`,
    ]
  }
  return [`${chosen.host} was the first that fitted in the order of the fullest hosts (order ${policy}).`]
}

function scoreText({ score = 0, terms = {} }: PlacementCandidate): string {
  const parts = Object.entries(terms).map(([name, term]) => `${name} ${term >= 0 ? '+' : ''}${term}`)
  return `score ${score}${parts.length === 0 ? '' : ` (${parts.join(', ')})`}`
}
