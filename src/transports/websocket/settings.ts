/**
 * How a WebSocket is to be carried: by what its route and its server say.
 */
import type { Wheel } from '../../core/time/wheel.js'
import type { Rates } from './intake.js'

export interface WebSocketTransportOptions {
  /** Whether a `close()` without arguments is held for a moment, in case a shutdown begins: see `closing`. */
  readonly defers: boolean
  /**
   * Whether a ping goes out after every 64 KiB. The kernel may take megabytes at once, and a slow
   * line may need minutes for them; the pongs to these show that the peer takes them.
   */
  readonly marks: boolean
  /** Whether pings of the peer are answered here: ws does not. */
  readonly answers: boolean
  /** Whether the owner wants to know of every message whether it has arrived. */
  readonly receipts: boolean
  /** How long a ping may be without an answer before it stands in no other's way, in ms. */
  readonly patience: number
  readonly rates: Rates
  readonly wheel: Wheel
}
