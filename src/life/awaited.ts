/**
 * What the app has begun when a connection was over, and is not done with: waited for before the server has closed.
 * Invariant: it waits no longer than it is told to, whatever the app's promises do.
 */
export class Awaited {
  readonly #all = new Set<Promise<void>>()

  /** @param promise that is never rejected; null: nothing was begun */
  add (promise: Promise<void> | null): void {
    if (promise === null) return
    this.#all.add(promise)
    promise.then(() => { this.#all.delete(promise) }, () => {})
  }

  /** Resolves when none is left, of those either that come meanwhile. @param limit in ms */
  async settled (limit: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => { timer = setTimeout(resolve, limit) })
    await Promise.race([this.#none(), enough])
    clearTimeout(timer)
  }

  async #none (): Promise<void> {
    while (this.#all.size > 0) await Promise.all(this.#all)
  }
}
