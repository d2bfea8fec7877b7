/**
 * Who may be preempted for whom. Source: the scheduling spec, section 9:
 * - what is not preemptible may preempt what is, of any role and whatever the priorities;
 * - of two that are alike in this, the higher priority may preempt the lower one of the same role;
 * - what is preemptible never preempts what is not.
 */
export interface Standing {
  readonly role: string
  readonly priority: number
  readonly isPreemptible: boolean
}

export function mayPreempt(pending: Standing, victim: Standing): boolean {
  if (pending.isPreemptible !== victim.isPreemptible) return victim.isPreemptible
  return pending.role === victim.role && pending.priority > victim.priority
}
