/**
 * One WebSocket as the heartbeat sees it.
 */
import type { Wire } from '../../core/peer.js'
import { ControlFrames } from './control.js'
import type { Line } from './line.js'
import type { WebSocketTransportOptions } from './settings.js'

/** The reading side, as far as it says whether a pong would be seen. */
export interface Hearing {
  readonly paused: boolean
  readonly peeking: boolean
  /** The app has stopped reading. */
  readonly byApp: boolean
  /** Grows with whatever says that the peer may have waited for us. */
  readonly excuses: number
  peek (on: boolean): boolean
}

export class Beats extends ControlFrames implements Wire {
  readonly deaf = false
  /** How often something that the app itself has sent was taken. */
  appTaken = 0
  readonly #hearing: Hearing

  constructor (line: Line, hearing: Hearing, options: WebSocketTransportOptions) {
    super(line, options)
    this.#hearing = hearing
  }

  heard (): number { return this.line.heard }
  advance (): number { return this.writer.completed + this.appTaken + this.pings.confirmed + this.#hearing.excuses }
  waiting (): number { return this.line.stream.destroyed || this.#hearing.byApp ? 0 : this.line.stream.writableLength }
  span (): number { return this.pings.ahead(this.given) }

  get paused (): boolean { return (this.line.busy || this.#hearing.paused) && !this.#hearing.peeking }
  protected override get deafened (): boolean { return this.paused }
  peek (on: boolean): boolean { return this.#hearing.peek(on) }

  /** When this ping was written, monotonic in ms; NaN while it waits for what ws has to do first. */
  beatenAt (number: number): number {
    const { pings } = this
    if (Number.isNaN(pings.writtenAt(number)) && this.line.inside === 0) this.wrote(number)
    return pings.writtenAt(number)
  }
}
