/**
 * What an app's code throws: when its connection has gone, or whatever it likes.
 */
import { types } from 'node:util'
import { FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import { describe } from '../core/payload.js'

/** An Error, whatever a WebSocket class of the app's has thrown or called back with. */
export const errorOf = (thrown: unknown): Error =>
  types.isNativeError(thrown) ? thrown : new FST_ERR_LIFELINE_INVALID_DATA(`the WebSocket class of the server failed: ${describe(thrown)}`)

/** The end of the connection, come back through what the app awaited (our `signal`, a pipeline): no failure of the app's. */
export function isNewsOfTheEnd (error: unknown): boolean {
  try {
    const { name, code } = (error ?? {}) as { name?: unknown, code?: unknown }
    return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE'
  } catch {
    return false
  }
}
