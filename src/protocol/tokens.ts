/**
 * The tokens of one session: the one that its client is known to have, and its successors, of which each hello names another.
 * Invariant: a client gets in by the token that it was told last, however many of its attempts, or of the server's answers, were lost or come
 * late; and once somebody has spoken on a wire, nobody gets in by what stood in the header of that wire, or in the hello of another.
 * Tokens are known by their hashes.
 */

export interface Minting {
  /** 256 random bits, as 43 characters. */
  readonly mint: () => string
  readonly hash: (token: string) => string
}

/** Where sessions are found by the hashes of their tokens. */
export interface Index {
  add (hash: string): void
  delete (hash: string): void
}

/**
 * So many hellos may have been told to nobody, one after the other, until a client that has got an earlier one, and has not come back since,
 * is not known any more.
 */
const SUCCESSORS_MAX = 8

export class Tokens {
  readonly #minting: Minting
  readonly #index: Index
  /** null until the client of a new session has spoken. */
  #current: string | null = null
  /** The oldest first. */
  #successors: string[] = []

  constructor (minting: Minting, index: Index) {
    this.#minting = minting
    this.#index = index
  }

  /** Another, for the hello of a wire. */
  next (): string {
    const token = this.#minting.mint()
    const hash = this.#minting.hash(token)
    this.#successors.push(hash)
    this.#index.add(hash)
    if (this.#successors.length > SUCCESSORS_MAX) this.#index.delete(this.#successors.shift()!)
    return token
  }

  /** Somebody comes by this token, which is one of this session's; or has spoken on the wire whose hello has named it. */
  proven (hash: string): void {
    // It can only have been told in a hello: what others were told before it, or instead, is nobody's any more.
    if (hash === this.#current || !this.#successors.includes(hash)) return
    for (const other of [this.#current, ...this.#successors]) if (other !== null && other !== hash) this.#index.delete(other)
    this.#current = hash
    this.#successors = []
  }

  /** None is any good any more. */
  end (): void {
    for (const hash of [this.#current, ...this.#successors]) if (hash !== null) this.#index.delete(hash)
    this.#current = null
    this.#successors = []
  }
}
