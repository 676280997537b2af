/**
 * The last of the pings that wait for their answer: the others need none (RFC 6455 §5.5.3).
 * Invariant: one Buffer is kept until it is taken, however many pings come meanwhile, and nothing of what they came in.
 */

/** What a control frame may carry, in bytes (RFC 6455 §5.5). */
const PAYLOAD_MAX = 125

export class LastPing {
  #bytes: Buffer | null = null
  #length = 0

  /** Whether one waits. */
  get waits (): boolean { return this.#bytes !== null }

  /** From now on it is this one. */
  keep (payload: Buffer): void {
    this.#bytes ??= Buffer.allocUnsafeSlow(PAYLOAD_MAX)
    this.#length = payload.length
    if (payload.length > 0) this.#bytes.set(payload)
  }

  /** Its payload, if one waits; then none does. */
  take (): Buffer | null {
    const bytes = this.#bytes
    this.#bytes = null
    return bytes === null ? null : bytes.subarray(0, this.#length)
  }

  /** None waits any more. */
  drop (): void {
    this.#bytes = null
  }
}
