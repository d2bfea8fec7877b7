/** The frame of the pages a node makes itself: no script, no file from elsewhere, readable in light and dark. */
import type { FastifyReply, FastifyRequest } from 'fastify'

const STYLE = `
:root{color-scheme:light dark;--line:#8884;--soft:#888;--bad:#c62828;--warn:#b26a00;--good:#2e7d32;--link:#1558d6;--row:#8881}
@media (prefers-color-scheme:dark){:root{--bad:#ff8a80;--warn:#ffcc80;--good:#a5d6a7;--link:#8ab4f8}}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:80rem;padding:1rem 1.25rem}
h1{font-size:1.3rem;margin:.2rem 0 .6rem}h2{font-size:1.05rem;margin:1.4rem 0 .4rem}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
table{border-collapse:collapse;width:100%}th,td{padding:.22rem .6rem;text-align:left;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;color:var(--soft);position:sticky;top:0;background:Canvas}tbody tr:hover{background:var(--row)}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.soft{color:var(--soft)}.bad{color:var(--bad)}.warn{color:var(--warn)}.good{color:var(--good)}
code,pre{font:13px/1.4 ui-monospace,monospace}pre{overflow:auto;padding:.6rem;background:var(--row);border-radius:6px}
.sum,td a{overflow-wrap:anywhere}.sum{font-size:13px;color:var(--soft)}@media (max-width:45rem){.wide{display:none}th,td{padding:.22rem .3rem}}nav{font-size:14px;margin-bottom:.4rem}nav a{margin-right:.9rem}`

export interface PageOptions {
  readonly title: string
  /** Seconds between two loads by the browser itself; 0: never. */
  readonly refreshSecs?: number
}

/** `body` is trusted markup: everything shown in it has gone through `html`. */
export function page({ title, refreshSecs = 0 }: PageOptions, body: string): string {
  const refresh = refreshSecs > 0 ? `<meta http-equiv="refresh" content="${refreshSecs}">` : ''
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${refresh}<title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>${body}</body></html>\n`
}

export function escapeHtml(value: unknown): string {
  return String(value).replace(/[&<>"']/g, letter => `&#${letter.charCodeAt(0)};`)
}

/** HTML only for those who ask for it first, or ask for nothing in particular. `?format=json` decides. */
export function wantsJson(request: FastifyRequest): boolean {
  const { format } = request.query as { readonly format?: unknown }
  if (format !== undefined) return format === 'json'
  const accept = request.headers.accept ?? ''
  const json = accept.indexOf('json')
  const html = accept.indexOf('text/html')
  return html < 0 ? json >= 0 : json >= 0 && json < html
}

/** No script runs in a page, whatever has got into it, and nobody frames it. */
const POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** A page of what is true now. */
export function sendHtml(reply: FastifyReply, text: string): FastifyReply {
  return reply
    .header('content-type', 'text/html; charset=utf-8')
    .header('cache-control', 'no-store')
    .header('content-security-policy', POLICY)
    .send(text)
}

/** Cells are trusted markup. */
export function tableHtml(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = heads.map(text => `<th>${escapeHtml(text)}</th>`).join('')
  const body = rows.map(cells => `<tr>${cells.map(cell => `<td>${cell}</td>`).join('')}</tr>`).join('')
  return `<table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table>`
}
