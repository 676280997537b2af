/**
 * What peers do in a loop, or lose in one, as warnings: the first of each kind is told at once, then what has come since, once a window.
 * Invariant: whatever is noted is told, and no kind twice within one window; what is remembered is bounded.
 * Knows neither the words nor the window: the log does.
 */

/** The numbers of so many connections are kept, for each kind. */
const CONNECTIONS_MAX = 1000

/** What has come since the last line. */
export interface Noted {
  times: number
  /** On how many, counted up to `CONNECTIONS_MAX`; 0: it is no connection's matter. */
  connections: number
  /** The last of them in words; empty: there is nothing to say of it. */
  example: string
}

interface Kept {
  times: number
  example: string
  readonly fds: Set<number>
  /** Whether its last line is of this window. */
  fresh: boolean
}

export class Warnings<Kind extends string> {
  readonly #tell: (kind: Kind, noted: Noted) => void
  readonly #kept = new Map<Kind, Kept>()

  constructor (tell: (kind: Kind, noted: Noted) => void) {
    this.#tell = tell
  }

  note (kind: Kind, fd: number | null, example: string): void {
    let kept = this.#kept.get(kind)
    const first = kept === undefined
    if (kept === undefined) this.#kept.set(kind, kept = { times: 0, example, fds: new Set(), fresh: true })
    kept.times++
    kept.example = example
    if (fd !== null && kept.fds.size < CONNECTIONS_MAX) kept.fds.add(fd)
    if (first) this.#say(kind, kept)
  }

  /** A window is over. @param last none follows @returns whether there is something to follow */
  turn (last: boolean): boolean {
    for (const [kind, kept] of this.#kept) {
      if (kept.times > 0 && (last || !kept.fresh)) this.#say(kind, kept)
      else if (kept.times === 0 && !kept.fresh) this.#kept.delete(kind)
      kept.fresh = false
    }
    return this.#kept.size > 0
  }

  #say (kind: Kind, kept: Kept): void {
    const noted = { times: kept.times, connections: kept.fds.size, example: kept.example }
    kept.times = 0
    kept.fds.clear()
    this.#tell(kind, noted)
  }
}
