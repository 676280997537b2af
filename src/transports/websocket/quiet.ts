/**
 * How long nothing has passed in either direction, where that is known exactly.
 */
export class Quiet {
  #at = 0
  #heard = 0
  #written = 0

  /** All that has passed until now is known. @param heard bytes read @param written bytes written */
  note (heard: number, written: number): void {
    this.#at = performance.now()
    this.#heard = heard
    this.#written = written
  }

  /** In ms; NaN if something has passed since. */
  since (heard: number, written: number): number {
    return heard === this.#heard && written === this.#written ? performance.now() - this.#at : NaN
  }
}
