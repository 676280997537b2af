/**
 * Hands messages to ws, a little at a time, so that what waits is counted, and pings can go in between.
 * Invariant: ws has been given no more than HAND_OVER and one message that it has not written yet. What ws, or a class of the
 * app's, was given is nobody else's to change, for it may take its time.
 */
import type WebSocket from 'ws'
import { isThenable } from '../../core/arguments.js'
import { ownBytes } from '../../core/bytes.js'
import type { Outgoing } from '../../core/outgoing.js'
import { Queue } from '../../core/queue.js'
import { EACH, HAND_OVER } from '../outbound/encoding.js'
import type { Bare } from './supervisor.js'
import type { Writer, WriterOwner } from './writer.js'

/** A message on its way through a class of the app's. */
interface Passing {
  readonly seq: number
  done: boolean
}

/** So many are waited for one by one: a class that never calls back is never known to have sent anything. */
const PASSING_MAX = 10_000

/** How often one that waits for such a class looks whether there is room, in ms. */
const RETRY = 20

/** When such a class has not called back for so long, while more waits for that, it is taken to have forgotten what it has; in ms. */
const FORGOTTEN = 10_000

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
  /** Behind those: how many more have not called back. Which of them have is not known, until all have. */
  #more = 0
  /** Of what a class of the app's was given and has not given to ws at once, in bytes: all, and up to the last that has called back. (One that forgets a message calls back for the next.) */
  #given = 0
  #passed = 0
  /** When it last did, or began to be waited for; monotonic, in ms. */
  #passedAt = 0
  #queue: Queue<{ readonly message: Outgoing, readonly seq: number }> | null = null
  /** Messages that ws has and has not called back for. */
  #underway = 0
  #waking = false
  #retry: NodeJS.Timeout | null = null
  #held = false
  /** The number of the message that is being handed over; 0: none is. */
  #handing = 0
  #taken: ((error?: unknown) => void) | null = null

  /** @param plain whether ws itself sends: no class of the app's has a `send` of its own */
  constructor (socket: WebSocket, bare: Bare, plain: boolean, owner: WriterOwner) {
    this.#socket = socket
    this.#bare = bare
    this.#owner = owner
    this.#passing = plain ? null : new Queue()
  }

  get waitingBytes (): number { return this.queuedBytes + this.#inside }

  /** What ws has, and a class of the app's that sends when it likes. */
  get #inside (): number { return Math.max(this.#bare.bufferedAmount(this.#socket), this.#given - this.#passed) }

  /** ws has enough. Messages without a byte count in no bufferedAmount; and a class of the app's may never call back. */
  get #sated (): boolean {
    return this.#inside >= HAND_OVER || (this.#passing === null && this.#underway >= UNDERWAY_MAX)
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
    return this.#hand(message, seq) && this.#inside === 0
  }

  // A class of the app's must see all that is sent; and what is compressed cannot be sliced.
  slices (): boolean { return false }

  sendSliced (): void {}

  ping (payload: Buffer, number: number): void {
    this.#bare.ping(this.#socket, payload, () => {
      this.#owner.wrote(number)
      this.#owner.taken()
    })
  }

  pong (payload: Buffer): void {
    this.#bare.pong(this.#socket, payload)
  }

  get held (): boolean { return this.#held }

  hold (on: boolean): void {
    if (this.#held === on) return
    this.#held = on
    this.wake()
  }

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
    this.#passed = this.#given
    this.#unwatch()
  }

  /** A class of the app's may never call back, or at once: then nobody else says when there is room. */
  #watch (): void {
    if (this.#passing === null || this.#retry !== null) return
    this.#passedAt = performance.now()
    this.#retry = setInterval(this.#again, RETRY).unref()
  }

  #unwatch (): void {
    if (this.#retry !== null) clearInterval(this.#retry)
    this.#retry = null
  }

  readonly #again = (): void => {
    const now = performance.now()
    if (now - this.#passedAt >= FORGOTTEN) {
      this.#passed = this.#given
      this.#passedAt = now
    }
    this.wake()
    if (this.#queue === null && this.#given === this.#passed) this.#unwatch()
    this.#owner.taken()
  }

  #handFirst (): void {
    const { message, seq } = this.#queue!.shift()!
    if (this.#queue!.length === 0) this.#queue = null
    this.queuedBytes -= message.size + EACH
    this.#hand(message, seq)
  }

  /** False if it was not sent. */
  #hand (message: Outgoing, seq: number): boolean {
    const { binary, size } = message
    const passing = this.#passing
    // A class of the app's may do with it what it likes; the same bytes may be for others, or be kept.
    const payload = passing !== null && typeof message.payload !== 'string' ? ownBytes(message.payload) : message.payload
    // An empty one counts as well, or nobody would wait for it.
    const upTo = this.#given + size + 1
    const done = passing === null ? this.#whenTaken() : this.#whenPassed(passing, seq, upTo)
    this.begun = this.#handing = seq
    this.#underway++
    const through = passing === null ? null : this.#through()
    const given = this.#given
    const passed = this.#passed
    if (passing !== null) this.#given = upTo
    try {
      const result = this.#bare.send(this.#socket, payload, { binary }, done)
      if (passing !== null && isThenable(result)) result.then(undefined, (reason: unknown) => { done(reason ?? new Error('its promise was rejected without a reason')) })
    } catch (error) {
      this.#owner.unsent(seq, error)
      done()
      return false
    } finally {
      this.#handing = 0
    }
    if (through !== null && this.#given > this.#passed) {
      // It has it already: whether it calls back or not. But what was late before is what it has, first.
      const grown = through()
      if (given > passed) this.#passed = Math.max(this.#passed, Math.min(this.#given, passed + grown))
      else if (grown >= size) this.#passed = this.#given
      if (this.#given > this.#passed) this.#watch()
    }
    this.#owner.handedOver(size)
    return true
  }

  /**
   * How much ws is given from now on, within this turn of the code. While anything waits all that it is given waits as well; else it is
   * written, and little has to be counted: what was written in all is asked of each write that waits, which may be thousands.
   */
  #through (): () => number {
    const waited = this.#bare.bufferedAmount(this.#socket)
    if (waited > 0) return () => this.#bare.bufferedAmount(this.#socket) - waited
    const { given } = this.#owner
    return () => this.#owner.given - given
  }

  #whenTaken (): (error?: unknown) => void {
    return this.#taken ??= () => {
      this.completed++
      this.#underway--
      this.wake()
      this.#owner.taken()
    }
  }

  /** A class of the app's may send when it likes, and in any order: a message is handed over when it, and all before it, have been. */
  #whenPassed (passing: Queue<Passing>, seq: number, upTo: number): (error?: unknown) => void {
    const one: Passing = { seq, done: false }
    const told = this.#more === 0 && passing.length < PASSING_MAX
    if (told) passing.push(one)
    else this.#more++
    const pass = (): void => {
      one.done = true
      this.#passed = Math.max(this.#passed, upTo)
      this.#passedAt = performance.now()
      if (!told) this.#more--
      while (passing.first?.done === true) this.#handed = passing.shift()!.seq
      if (passing.length + this.#more === 0) this.#handed = this.begun
      this.#whenTaken()()
    }
    // Where it failed the message has not left; once the wire fails or closes, all do, and that is no failure of theirs.
    const fail = (error: unknown): void => {
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
