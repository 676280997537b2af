/** What a WebSocket has that is no behaviour: its constants, and the handlers that an app sets. */
import { Emitter } from './events.js'

type Handler = ((event: any) => void) | null

export const state = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 } as const
export type ReadyState = typeof state[keyof typeof state]

export abstract class Face extends Emitter {
  static readonly CONNECTING = state.CONNECTING
  static readonly OPEN = state.OPEN
  static readonly CLOSING = state.CLOSING
  static readonly CLOSED = state.CLOSED
  readonly CONNECTING = state.CONNECTING
  readonly OPEN = state.OPEN
  readonly CLOSING = state.CLOSING
  readonly CLOSED = state.CLOSED
  /** The URL of the last attempt. */
  url = ''
  /** The subprotocol of the app's that the server has chosen. */
  protocol = ''
  readyState: ReadyState = state.CONNECTING
  /** There is a session. */
  onopen: Handler = null
  onmessage: Handler = null
  /** An attempt has failed: what comes of it is told by `reconnecting` or `close`. */
  onerror: Handler = null
  /** The session has ended: `code`, `reason`, `wasClean`. */
  onclose: Handler = null
  /** There is no wire; another is tried in `delay` ms, for the `retryCount`th time. */
  onreconnecting: Handler = null
  /** The session goes on. */
  onresume: Handler = null
  /** Something was missed: `reason`, `received`, `groups`, `unknown`. */
  ongap: Handler = null
  /** A message was not taken: `data`, `reason`. */
  ondrop: Handler = null
}
