/**
 * A session at the server: what its client has to get, what it has taken of the client's, and by which wire, if there is one.
 * Invariant: each message that was pushed is taken by the client's app once and in order, or the client is told that it is no resume;
 * each of the client's is taken by this app once and in order. What came over a wire that another has replaced counts for nothing, unless
 * it was taken before.
 * Knows no sockets, no clock and no app: whoever owns it brings wires, passes on what comes, and says when time is up.
 */
import { closeCode } from './close-codes.js'
import { endsSession, REPLACED } from './ends.js'
import { CREDIT_MESSAGES, hello, taken, VERSION } from './frames.js'
import type { Frame, Reason } from './frames.js'
import { Kept } from './kept.js'
import type { Index, Minting } from './tokens.js'
import { Tokens } from './tokens.js'

/** One wire, as the session sees it. */
export interface ServerWire<M> {
  /** It takes more messages at the moment. */
  readonly roomy: boolean
  /** How many of its messages the app has taken. */
  readonly taken: number
  /** Sends a control frame. */
  tell (text: string): void
  /** Sends a message of the app's. */
  send (message: M, seq: number): void
  /** The gate: from now on nothing more of it is handed to the app, though it has come. @returns how many have been */
  shut (): number
  /** Starts a closing handshake. */
  close (code: number): void
}

/** What the session tells whoever owns it. */
export interface ServerOwner {
  /** The client's app has all messages up to this one. */
  confirmed (seq: number): void
  /** The client is to be told within a second what was taken. */
  owes (): void
  /** It is over: nobody can come back to it. @param code as of `end` */
  ended (code: number): void
}

/** What is told in each hello. */
export interface Terms {
  readonly id: string
  readonly node: string
  readonly window: number
  readonly limit: number
  readonly credit: number
  readonly payload: number
  readonly beat: number
}

/** One wire at a time, and what is known of it alone. */
interface On<M> {
  readonly wire: ServerWire<M>
  /** The hash of the token that its hello has named. */
  readonly named: string | null
  /** Its client has sent a first frame: it has got the hello. */
  spoken: boolean
  /** What has come by it, and the client was not told to be taken. */
  readonly owed: Kept<null>
  /** How many bytes of that the app has taken. */
  took: number
}

export class ServerSession<M> {
  readonly kept = new Kept<M>()
  ended = false
  /** Of the messages that are kept, bytes that no wire has been given; without a wire, all of them. */
  waiting = 0
  readonly #terms: Terms
  readonly #minting: Minting | null
  /** null: nobody can come back. */
  readonly #tokens: Tokens | null
  readonly #owner: ServerOwner
  #on: On<M> | null = null
  /** Whether any first frame has come: before that nobody can come back. */
  #known = false
  /** What was taken by wires that are gone. */
  #before = 0
  /** The count that the client was told last. */
  #told = 0
  /** The last that was handed to the wire. */
  handed = 0
  /** The last that was ever handed to any. */
  #most = 0
  /** It ends with the wire that it has. */
  #last = false
  /** The run whose body works at a message; null: none does. */
  #working: object | null = null

  /** @param minting null: it has no tokens, and ends with its wire */
  constructor (terms: Terms, minting: Minting | null, index: Index, owner: ServerOwner) {
    this.#terms = terms
    this.#minting = minting
    this.#tokens = minting === null ? null : new Tokens(minting, index)
    this.#owner = owner
  }

  get attached (): boolean { return this.#on !== null }
  /** How many of the client's messages have been taken, in all. */
  get received (): number { return this.#before + (this.#on?.wire.taken ?? 0) }

  /** Whether a client that says it has taken so many can be given all the rest. */
  reaches (received: number): boolean { return !this.ended && received >= this.kept.base && received <= this.#most }

  /**
   * A wire is there, and takes the place of the one before.
   * @param claim who comes back: the hash of the token and the count; null: it is the first
   */
  attach (wire: ServerWire<M>, protocol: string, claim: { readonly hash: string, readonly received: number } | null, reason: Reason = 'new'): void {
    this.#leave(REPLACED)
    if (claim !== null) {
      // It can only have the token from a hello.
      this.#known = true
      this.#tokens?.proven(claim.hash)
    }
    const token = this.#tokens?.next() ?? null
    this.#on = { wire, named: token === null ? null : this.#minting!.hash(token), spoken: false, owed: new Kept(), took: 0 }
    this.handed = claim?.received ?? 0
    this.waiting = 0
    for (let seq = this.handed + 1; seq <= this.kept.last; seq++) this.waiting += this.kept.sizeOf(seq)
    this.#told = this.#before
    const resumed = claim !== null
    wire.tell(hello({ v: VERSION, ...this.#terms, token, resumed, reason: resumed ? null : reason, received: this.#before, protocol }))
    this.pump()
  }

  /** Keeps a message, and sends it if it can. @returns its number */
  push (message: M, size: number): number {
    const seq = this.kept.add(message, size)
    this.waiting += size
    this.pump()
    return seq
  }

  /** The wire takes more again. @param all whether it does or not: nothing comes behind it */
  pump (all = false): void {
    const on = this.#on
    if (on === null) return
    // A wire may fail while it is written to.
    while (this.#on === on && this.handed < this.kept.last) {
      if (!all && !on.wire.roomy) return
      const seq = ++this.handed
      this.waiting -= this.kept.sizeOf(seq)
      this.#most = Math.max(this.#most, seq)
      on.wire.send(this.kept.at(seq)!, seq)
    }
  }

  /** Whether anything of a wire is of interest still. */
  has (wire: ServerWire<M>): boolean { return this.#on?.wire === wire }

  /** A frame has come. @param frame 'message': one of the app's @param size of a message, in bytes @returns whether it is one for the app, in its turn */
  heard (wire: ServerWire<M>, frame: Frame | 'message', size: number): boolean {
    const on = this.#on
    if (on?.wire !== wire) return false
    const kind = frame === 'message' ? frame : frame.kind
    if (kind === 'malformed') return this.#violated()
    if (kind === 'message') {
      // The first frame says where the client stands.
      if (!on.spoken) return this.#violated()
      if (this.#pastCredit(on.owed)) return this.#violated(closeCode.policyViolation)
      on.owed.add(null, size)
      return true
    }
    if (kind === 'taken') {
      const { count, asks } = frame as Frame & { kind: 'taken' }
      if (count > this.handed) return this.#violated()
      this.kept.confirm(count)
      if (!on.spoken) this.#speaks(on)
      this.#owner.confirmed(count)
      // Who asks and does not read is answered when there is room.
      if (asks && on.wire.roomy) this.tell()
      else if (asks) this.#owner.owes()
    }
    return false
  }

  /** The app has taken a message of the wire: the client is to know, at once or soon. */
  took (wire: ServerWire<M>): void {
    const on = this.#on
    if (on?.wire !== wire) return
    on.took += on.owed.sizeOf(wire.taken)
    if (on.took >= this.#terms.credit / 4 || this.received - this.#told >= CREDIT_MESSAGES / 4) this.tell()
    else this.#owner.owes()
  }

  /** Tells the client what was taken: the beat, or that it has asked. @param asks for the same, at once */
  tell (asks = false): void {
    const on = this.#on
    if (on === null) return
    this.#told = this.received
    on.owed.confirm(on.wire.taken)
    on.took = 0
    on.wire.tell(taken(this.#told, asks))
  }

  /** Whether a run may have a message now: not while a body of the run before is at work. */
  mayTake (run: object): boolean { return this.#working === null || this.#working === run }
  /** A body of this run has begun. */
  works (run: object): void { this.#working = run }
  /** It has settled. */
  settled (run: object): void { if (this.#working === run) this.#working = null }

  /** A wire is gone. @param code of the close frame of the client; 1005: it had none, 1006: there was no close frame */
  lost (wire: ServerWire<M>, code: number): void {
    if (this.#on?.wire !== wire) return
    this.#leave(null)
    if (this.#last || !this.#known || this.#tokens === null || endsSession(code)) this.end(code)
  }

  /** Nobody can come back any more; what it has of a wire is still heard, until that is gone. */
  retire (): void {
    this.#last = true
    this.#tokens?.end()
  }

  /** Nobody can come back any more: the app has closed it, or its time is up. @param code that the wire is told, if there is one */
  end (code: number): void {
    if (this.ended) return
    this.ended = true
    this.#leave(code)
    this.#tokens?.end()
    this.#owner.ended(code)
  }

  #speaks (on: On<M>): void {
    on.spoken = true
    this.#known = true
    if (on.named !== null) this.#tokens?.proven(on.named)
  }

  /** One message more than it may is let be, beside a large one that may come alone. */
  #pastCredit ({ length, bytes }: Kept<null>): boolean { return length > CREDIT_MESSAGES || (length > 1 && bytes > this.#terms.credit) }

  /** @param code of what was done */
  #violated (code: number = closeCode.protocolError): false {
    this.end(code)
    return false
  }

  /** @param code that the wire is told; null: it is gone */
  #leave (code: number | null): void {
    const on = this.#on
    if (on === null) return
    this.#on = null
    this.waiting = this.kept.bytes
    this.#before += on.wire.shut()
    if (code !== null) on.wire.close(code)
  }
}
