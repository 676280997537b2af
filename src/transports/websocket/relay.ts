/**
 * Hands messages to ws, a little at a time, so that what waits is counted, and pings can go in between.
 * Invariant: ws has been given no more than HAND_OVER and one message that it has not written yet. What ws, or a class of the
 * app's, was given is nobody else's to change, for it may take its time.
 */
import type WebSocket from 'ws'
import type { Outgoing } from '../../core/outgoing.js'
import { Queue } from '../../core/queue.js'
import { EACH, HAND_OVER } from './frame.js'
import type { Bare } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

/** A message on its way through a class of the app's. */
interface Passing {
  readonly seq: number
  done: boolean
}

/** So many are waited for: a class that never calls back is never known to have sent anything. */
const PASSING_MAX = 10_000

/** How often one that waits for such a class looks whether there is room, in ms. */
const RETRY = 20

/** So many messages ws is given before it has written any. */
const UNDERWAY_MAX = 1_024

export class RelayWriter implements Writer {
  completed = 0
  begun = 0
  queuedBytes = 0
  readonly appBytes = 0

  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #owner: WriterOwner
  /** Those of a class of the app's that have not called back yet; null for ws itself: what it is given after a message it writes after it. */
  readonly #passing: Queue<Passing> | null
  #handed = 0
  /** One was not waited for: what comes after it cannot be told from it any more. */
  #untold = false
  #queue: Queue<{ readonly message: Outgoing, readonly seq: number }> | null = null
  /** Messages that ws has and has not called back for. */
  #underway = 0
  #waking = false
  #retry: NodeJS.Timeout | null = null
  #held = false
  /** The number of the message that is being handed over; 0: none is. */
  #handing = 0
  #taken: (() => void) | null = null

  /** @param plain whether ws itself sends: no class of the app's has a `send` of its own */
  constructor (socket: WebSocket, bare: Bare, plain: boolean, owner: WriterOwner) {
    this.#socket = socket
    this.#bare = bare
    this.#owner = owner
    this.#passing = plain ? null : new Queue()
  }

  get waitingBytes (): number { return this.queuedBytes + this.#bare.bufferedAmount(this.#socket) }

  /** ws has enough. Messages without a byte count in no bufferedAmount; and a class of the app's may never call back. */
  get #sated (): boolean {
    return this.#bare.bufferedAmount(this.#socket) >= HAND_OVER || (this.#passing === null && this.#underway >= UNDERWAY_MAX)
  }

  get handed (): number { return this.#passing === null ? this.begun : this.#handed }

  send (message: Outgoing, seq: number): boolean {
    message.own()
    if (this.#held || this.#queue !== null || this.#sated) {
      (this.#queue ??= new Queue()).push({ message, seq })
      this.queuedBytes += message.size + EACH
      this.#watch()
      return false
    }
    return this.#hand(message, seq) && this.#bare.bufferedAmount(this.#socket) === 0
  }

  // A class of the app's must see all that is sent; and what is compressed cannot be sliced.
  slices (): boolean { return false }

  sendSliced (): void {}

  ping (payload: Buffer, number: number): void {
    this.#bare.ping(this.#socket, payload, () => { this.#owner.pingWritten(number) })
  }

  pong (payload: Buffer): void {
    this.#bare.pong(this.#socket, payload)
  }

  hold (on: boolean): void {
    if (this.#held === on) return
    this.#held = on
    this.wake()
  }

  // ws keeps what follows a Blob behind it.
  reading (): void {}

  // Nothing waits for the end of a turn.
  settle (): void {}

  flush (): void {
    while (this.#queue !== null && !this.#held) this.#handFirst()
  }

  wake (): void {
    // A class of the app's may call back at once: then this loop goes on.
    if (this.#waking) return
    this.#waking = true
    try {
      while (this.#queue !== null && !this.#held && this.#socket.readyState === this.#socket.OPEN && !this.#sated) this.#handFirst()
    } finally {
      this.#waking = false
    }
  }

  discard (): void {
    this.#queue = null
    this.queuedBytes = 0
    this.#unwatch()
  }

  /** A class of the app's may never call back, or at once: then nobody else says when there is room. */
  #watch (): void {
    if (this.#passing !== null) this.#retry ??= setInterval(this.#again, RETRY).unref()
  }

  #unwatch (): void {
    if (this.#retry !== null) clearInterval(this.#retry)
    this.#retry = null
  }

  readonly #again = (): void => {
    this.wake()
    if (this.#queue === null) this.#unwatch()
    this.#owner.taken()
  }

  #handFirst (): void {
    const { message, seq } = this.#queue!.shift()!
    if (this.#queue!.length === 0) this.#queue = null
    this.queuedBytes -= message.size + EACH
    this.#hand(message, seq)
  }

  /** False if it was not sent. */
  #hand ({ payload, binary, size }: Outgoing, seq: number): boolean {
    const done = this.#passing === null ? this.#whenTaken() : this.#whenPassed(this.#passing, seq)
    this.begun = this.#handing = seq
    this.#underway++
    try {
      this.#bare.send(this.#socket, payload, { binary }, done)
    } catch (error) {
      this.#owner.unsent(seq, error)
      done()
      return false
    } finally {
      this.#handing = 0
    }
    this.#owner.passed(size)
    return true
  }

  #whenTaken (): () => void {
    return this.#taken ??= () => {
      this.completed++
      this.#underway--
      this.wake()
      this.#owner.taken()
    }
  }

  /** A class of the app's may send when it likes, and in any order: a message is handed over when it, and all before it, have been. */
  #whenPassed (passing: Queue<Passing>, seq: number): (error?: Error) => void {
    const one: Passing = { seq, done: false }
    if (passing.length < PASSING_MAX) passing.push(one)
    else this.#untold = true
    const pass = (): void => {
      one.done = true
      while (!this.#untold && passing.first?.done === true) this.#handed = passing.shift()!.seq
      this.#whenTaken()()
    }
    // Where it failed the message has not left; once the wire fails or closes, all do, and that is no failure of theirs.
    const fail = (error: Error): void => {
      if (one.done || !this.#owner.open) return
      this.#owner.unsent(seq, error)
      pass()
    }
    return (error) => {
      if (one.done) return
      if (error == null) pass()
      else if (this.#handing === seq) fail(error)
      // ws tells those who wait before it fails itself.
      else process.nextTick(fail, error)
    }
  }
}
