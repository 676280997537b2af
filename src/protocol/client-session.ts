/**
 * A session at the client: what the server's app has to get, what has been taken of the server's, and by which wire, if there is one.
 * Invariant: each of the server's messages is taken once and in order, or a gap is told; each message of the app's is taken by the
 * server's app once and in order, or its fate is told to be unknown at a gap, or it is still kept.
 * Knows no WebSocket and no clock: whoever owns it opens wires, passes on what comes, and says when time is up.
 */
import { closeCode } from './close-codes.js'
import { keepsToken } from './ends.js'
import { CREDIT_MESSAGES, decode, taken, VERSION } from './frames.js'
import type { Hello, Reason } from './frames.js'
import { Kept } from './kept.js'
import type { Claim } from './offer.js'

/** One wire, as the session sees it. */
export interface ClientWire<M> {
  /** Sends a control frame. */
  tell (text: string): void
  /** Sends a message of the app's. */
  send (message: M): void
  /** Starts a closing handshake. */
  close (code: number): void
}

/** What a client that was not resumed has to know. */
export interface Gap<M> {
  readonly reason: Reason
  /** How many of the server's messages of the last session were taken; what came behind them is lost. */
  readonly received: number
  /** Messages of the app's that were sent, of which nobody knows whether the server's app has taken them, in order. */
  readonly unknown: readonly M[]
}

/** What the session tells whoever owns it. */
export interface ClientOwner<M> {
  /** A new session. What is sent from within comes before what waits. @param gap null: it is the first */
  opened (hello: Hello, gap: Gap<M> | null): void
  /** The session goes on. */
  resumed (hello: Hello): void
  message (data: string | object): void
  /** The server's app has taken this one. */
  confirmed (message: M): void
  /** Something was not sent to this client. */
  missed (reason: string, groups: readonly string[]): void
  /** The server is to be told within a second what was taken. */
  owes (): void
}

export class ClientSession<M> {
  /** What is not confirmed: on its way, or waiting. */
  kept = new Kept<M>()
  /** How many of the server's messages the app has taken. */
  received = 0
  readonly #owner: ClientOwner<M>
  #wire: ClientWire<M> | null = null
  /** The last hello; null: there was none yet. */
  #hello: Hello | null = null
  /** Whether the attempt has claimed a session. */
  #claims = false
  /** Whether the hello of this wire has come. */
  #greeted = false
  /** null: there is nothing to come back to. */
  #token: string | null = null
  /** The last number that was handed to any wire. */
  #handed = 0
  /** Of those that were handed to this wire and are not confirmed, in bytes. */
  #underway = 0
  /** The count that the server was told last, and how many bytes were taken since. */
  #told = 0
  #took = 0

  constructor (owner: ClientOwner<M>) { this.#owner = owner }

  /** There is a wire, and its hello has come. */
  get attached (): boolean { return this.#wire !== null && this.#greeted }

  /** Before another attempt: nothing of the wire before it counts from now on. @returns what is to be claimed; null: a new session */
  leave (): Claim | null {
    this.#wire = null
    this.#greeted = false
    this.#claims = this.#token !== null
    return this.#token === null ? null : { node: this.#hello!.node, token: this.#token, received: this.received }
  }

  /** A wire is open, on which the server speaks this protocol. */
  attach (wire: ClientWire<M>): void {
    this.#wire = wire
    this.#greeted = false
  }

  /** Keeps a message, and sends it if it can. @param size in bytes */
  send (message: M, size: number): void {
    this.kept.add(message, size)
    this.#pump()
  }

  /** Whether there is something to come back to. */
  get resumable (): boolean { return this.#token !== null }

  /**
   * It is over: the app has had enough, or the server does not speak this protocol. What comes next is the first.
   * @returns what was handed to no wire, in order; and what is not known, null: there was no session
   */
  end (): { readonly waiting: M[], readonly gap: Gap<M> | null } {
    const gap: Gap<M> | null = this.#hello === null ? null : { reason: 'unknown', received: this.received, unknown: this.#unknown() }
    this.forget()
    this.#startAgain()
    this.#hello = null
    const waiting: M[] = []
    this.kept.confirm(this.kept.last, waiting)
    this.kept = new Kept()
    return { waiting, gap }
  }

  /** The app has had enough: there is nothing to come back to. */
  forget (): void {
    this.leave()
    this.#token = null
  }

  /** A frame has come. @param size in bytes */
  heard (wire: ClientWire<M>, data: string | object, size: number): void {
    if (this.#wire !== wire) return
    const frame = typeof data === 'string' ? decode(data) : null
    if (frame?.kind === 'hello') return this.#greet(wire, frame.hello)
    if (!this.#greeted || frame?.kind === 'malformed') return this.#violated(wire)
    if (frame === null) return this.#take(data, size)
    switch (frame.kind) {
      case 'message': return this.#take(frame.text, size)
      case 'gap': return this.#owner.missed(frame.reason, frame.groups)
      case 'taken':
        // It cannot have taken what it was not sent.
        if (frame.count > this.#handed) return this.#violated(wire)
        if (frame.asks) this.tell()
        this.#confirm(frame.count)
        this.#pump()
    }
  }

  /** Tells the server what was taken. @param asks for the same, at once */
  tell (asks = false): void {
    if (!this.attached) return
    this.#told = this.received
    this.#took = 0
    this.#wire!.tell(taken(this.received, asks))
  }

  /** Whether the server was not told yet of something that was taken. */
  get owing (): boolean { return this.received > this.#told }

  /** A wire is gone. @param code 1006: there was no close frame */
  lost (wire: ClientWire<M>, code: number): void {
    if (this.#wire !== wire) return
    this.leave()
    if (!keepsToken(code)) this.#token = null
  }

  #greet (wire: ClientWire<M>, hello: Hello): void {
    const first = this.#hello === null
    if (this.#greeted || hello.v !== VERSION || (hello.resumed && (!this.#claims || hello.received > this.#handed || hello.received < this.kept.base))) return this.#violated(wire)
    const gap = hello.resumed || first ? null : { reason: hello.reason!, received: this.received, unknown: this.#unknown() }
    this.#greeted = true
    this.#hello = hello
    this.#token = hello.token
    if (hello.resumed) {
      // What was on its way is lost, and goes again.
      this.#handed = hello.received
      this.#underway = 0
    } else {
      this.#startAgain()
    }
    this.tell()
    if (hello.resumed) {
      this.#confirm(hello.received)
      this.#owner.resumed(hello)
      this.#pump()
      return
    }
    this.#open(hello, gap)
  }

  /** What the app sends when it is told comes first. */
  #open (hello: Hello, gap: Gap<M> | null): void {
    const waiting = this.kept
    this.kept = new Kept()
    try {
      this.#owner.opened(hello, gap)
    } finally {
      for (let seq = waiting.base + 1; seq <= waiting.last; seq++) this.send(waiting.at(seq)!, waiting.sizeOf(seq))
    }
  }

  /** Was handed to a wire, and not confirmed. */
  #unknown (): M[] {
    const unknown: M[] = []
    for (let seq = this.kept.base + 1; seq <= this.#handed; seq++) unknown.push(this.kept.at(seq)!)
    return unknown
  }

  /** In a new session all counts begin anew; what was handed to no wire waits on. */
  #startAgain (): void {
    const before = this.kept
    this.kept = new Kept()
    for (let seq = this.#handed + 1; seq <= before.last; seq++) this.kept.add(before.at(seq)!, before.sizeOf(seq))
    this.received = this.#handed = this.#underway = this.#told = this.#took = 0
  }

  #take (data: string | object, size: number): void {
    // First, for it is being taken, whatever the app does with it.
    this.received++
    this.#took += size
    this.#owner.message(data)
    if (this.#took >= this.#hello!.limit / 4) this.tell()
    else if (this.owing) this.#owner.owes()
  }

  /** Sends what may be on its way at once. */
  #pump (): void {
    while (this.attached && this.#handed < this.kept.last && this.#mayGo(this.#handed + 1)) {
      const seq = ++this.#handed
      this.#underway += this.kept.sizeOf(seq)
      this.#wire!.send(this.kept.at(seq)!)
    }
  }

  /** One alone may be of any size. */
  #mayGo (seq: number): boolean {
    const before = seq - 1 - this.kept.base
    return before === 0 || (before < CREDIT_MESSAGES && this.#underway + this.kept.sizeOf(seq) <= this.#hello!.credit)
  }

  /** Its owner is told when all is in its place, for it may send. */
  #confirm (count: number): void {
    const taken: M[] = []
    const before = this.kept.bytes
    this.kept.confirm(count, taken)
    this.#underway = Math.max(0, this.#underway - (before - this.kept.bytes))
    for (const message of taken) this.#owner.confirmed(message)
  }

  #violated (wire: ClientWire<M>): void {
    this.leave()
    this.#token = null
    wire.close(closeCode.protocolError)
  }
}
