/** Where on its machine a task runs: the agent makes the folder there, and people find it there. */
export function sandboxPath(workDir: string, taskId: string): string {
  return `${workDir.replace(/\/+$/, '')}/tasks/${taskId}/sandbox`
}
