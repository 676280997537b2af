/**
 * What has come and was not taken yet, whether more of it is read, and for whom what comes is.
 * Invariant: what is held is bounded by whoever holds it back; once the stage has gone on it never goes back.
 * Knows nothing of who takes it.
 */
import type { Held, RawData } from './held.js'
import { Inbox } from './inbox.js'
import type { Line } from './line.js'
import { Pausing, why } from './pausing.js'
import type { PausingOwner } from './pausing.js'

/** For whom is what comes from now on. It goes on to a later one, and never back. */
export const stage = {
  /** Whoever reads, and it may wait for him. */
  open: 0,
  /** Listeners, as with ws: this side closes, or all has come. What comes waits for nobody, and the socket is read to its end. */
  closing: 1,
  /** The same, but nobody: the listeners were to have no more by then. */
  muted: 2,
  /** Nobody, and it is not counted either: see `Reader.shut`. */
  shut: 3
} as const

export class Supply implements PausingOwner {
  /** How many messages readers and listeners have taken. */
  consumed = 0
  protected readonly line: Pick<Line, 'socket' | 'bare' | 'look' | 'owner'>
  protected readonly pausing: Pausing
  /** null for most: they have listeners, or no messages. */
  protected inbox: Inbox | null = null
  protected stage: number = stage.open

  constructor (line: Pick<Line, 'socket' | 'bare' | 'look' | 'owner'>) {
    this.line = line
    this.pausing = new Pausing(line, this)
  }

  // As the connection and the wire see it.

  get paused (): boolean { return this.pausing.paused }
  get throttled (): boolean { return this.pausing.throttled }
  get blind (): boolean { return this.pausing.blind }
  get peeking (): boolean { return this.pausing.peeking }
  get byApp (): boolean { return this.pausing.byApp }
  get excuses (): number { return this.pausing.excuses }
  get rested (): number { return this.pausing.rested }
  peek (on: boolean): boolean { return this.pausing.peek(on) }
  signal (bytes: number): void { this.pausing.signal(bytes) }
  readOn (on: boolean): void { this.pausing.because(why.answer, on) }

  // As whoever pauses sees it.

  get over (): boolean { return this.stage !== stage.open }
  get held (): number { return this.inbox?.bytes ?? 0 }

  blinded (): void { this.line.owner?.flushed() }

  // What is held.

  /** @param heard whether a listener has had it as well @param time see `Inbox.add` */
  protected hold (data: RawData, binary: boolean, heard: boolean, time: number): void {
    this.inbox ??= new Inbox()
    this.inbox.add({ data, binary, heard }, time)
  }

  /** The next one, if its time has come; at the end all have. */
  protected takeRipe (): Held | undefined {
    return this.over || this.inbox?.ripe === true ? this.take() : undefined
  }

  protected take (): Held | undefined {
    const held = this.inbox?.take()
    if (held === undefined) return undefined
    this.consumed++
    this.line.owner?.took()
    this.pausing.shrunk()
    return held
  }

  protected clear (): { messages: number, bytes: number } | undefined {
    const lost = this.inbox?.clear()
    this.pausing.shrunk()
    return lost
  }

  protected discard (): void {
    const lost = this.clear()
    if (lost !== undefined && lost.messages > 0) this.line.owner?.dropped(lost.messages, lost.bytes)
  }
}
