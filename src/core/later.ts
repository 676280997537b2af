/**
 * What is awaited and is known at once is told in a later turn of the event loop: a loop that awaits it over and over
 * must not keep timers and sockets from their turn.
 * Invariant: one immediate is scheduled at a time, however many wait.
 */
let waiting: Array<() => void> = []

function tell (): void {
  const callbacks = waiting
  waiting = []
  for (const callback of callbacks) callback()
}

/** Calls back when the loop has turned. @param callback does not throw */
export function later (callback: () => void): void {
  if (waiting.push(callback) === 1) setImmediate(tell)
}

/** Resolves when the loop has turned. */
export function nextTurn (): Promise<void> {
  return new Promise(later)
}
