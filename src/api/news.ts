/**
 * What an app's code throws when its connection has gone.
 */

/** The end of the connection, come back through what the app awaited (our `signal`, a pipeline): no failure of the app's. */
export function isNewsOfTheEnd (error: unknown): boolean {
  try {
    const { name, code } = (error ?? {}) as { name?: unknown, code?: unknown }
    return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE'
  } catch {
    return false
  }
}
