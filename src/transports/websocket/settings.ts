/**
 * How a WebSocket is to be carried: by what its route and its server say.
 */
import type { Wheel } from '../../core/time/wheel.js'
import type { Rates } from '../../core/limited.js'

export interface WebSocketTransportOptions {
  /** Whether a `close()` without arguments is held for a moment, in case a shutdown begins: see `closing`. */
  readonly defers: boolean
  /** Whether pings of the peer are answered here: ws does not. */
  readonly answers: boolean
  /** Whether the owner wants to know of every message whether it has arrived. */
  readonly receipts: boolean
  /** Whether large messages leave in fragments. If not, each is one frame. */
  readonly fragments: boolean
  /** How long a ping may be without an answer before it stands in no other's way, in ms. */
  readonly patience: number
  readonly rates: Rates
  /** For rates: what has to wait for one is exact to its slots. */
  readonly wheel: Wheel
  /** How long the loop was away, so that nobody is blamed for it. */
  readonly loop: { readonly away: number }
}
