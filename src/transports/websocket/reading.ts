/**
 * Who gets a message. What waits, and whether more is read, is the `Supply`; the loop of a reader is in the `Iteration`.
 * Invariant: no message is lost before the first reader, and none overtakes another; what a silent app and a talkative peer can
 * hold together is bounded.
 * Knows nothing of rates, of the heartbeat or of the closing handshake: it is told, as of the time that a message has to wait for.
 */
import { later } from '../../core/time/loop.js'
import type { Message, Reader } from '../transport.js'
import type { Held, RawData } from './held.js'
import { HELD_MAX, HIGH_WATER } from './inbox.js'
import { Iteration } from './iteration.js'
import type { Source } from './iteration.js'
import { why } from './pausing.js'
import { stage, Supply } from './supply.js'

/** Present while messages wait for a listener: with it, EventEmitter announces new ones. */
const announce = (): void => {}

export class Reading extends Supply implements Reader, Source {
  /** A message has come. */
  spoken = false
  #iteration: Iteration | null = null
  /** The handler has settled, or is at work for too long: who has not attached a reader by now may have none to attach. */
  #settled = false
  /** A listener has taken a message: once the handler has settled, no listener means none wanted, as with ws. */
  #listened = false
  /** What was held was let go, for there was no reader: so is what follows, until there is one. */
  #pushOnly = false
  #releasing = false
  /** How many readers in a row have taken one message each: whoever does so again is at it, though it has left. */
  #single = 0

  // The socket tells its supervisor, and so us, of both.
  pause (): void { this.line.socket.pause() }
  resume (): void { this.line.socket.resume() }

  /**
   * Takes a message from the wire; true if the listeners must not see it now.
   * @param time when it may be handed out, monotonic in ms; 0: now
   */
  message (data: RawData, binary: boolean, time: number = 0): boolean {
    this.spoken = true
    if (this.peeking) this.peek(false)
    if (this.stage === stage.shut) return true
    const listening = this.#listening
    const taker = this.#taker(listening, time > 0)
    if (taker === 'listeners') {
      this.#listened = true
      this.consumed++
      this.line.owner?.took()
      return false
    }
    if (taker === 'nobody') {
      this.line.owner?.ignored()
      return true
    }
    this.#keep(data, binary, taker === 'reader' && listening, time)
    if (taker === 'reader') return !listening
    this.#expect()
    // It may have come unannounced: removeAllListeners takes the announcement away too.
    if (listening && time === 0) this.#releaseSoon()
    return true
  }

  /** The one rule of who gets what comes now. */
  #taker (listening: boolean, waits: boolean): 'reader' | 'listeners' | 'inbox' | 'nobody' {
    // Of what is past a rate there is no later any more.
    if (this.over) return listening && !waits && this.stage === stage.closing ? 'listeners' : 'nobody'
    if (this.#reading) return 'reader'
    if (this.#pushOnly && this.#unwanted) return 'nobody'
    if (this.pausing.byApp || waits) return 'inbox'
    const waiting = this.inbox !== null && !this.inbox.empty
    if (listening) return waiting ? 'inbox' : 'listeners'
    // While the handler is at work another reader may come, as after a first message that was awaited.
    return this.#listened && this.#settled && !waiting ? 'nobody' : 'inbox'
  }

  get #reading (): boolean { return this.#iteration?.reading === true }

  get #listening (): boolean { return this.line.socket.listenerCount('message') > 0 }

  /** Nobody is to get messages, nor to be expected: whoever has paused the socket will resume it for somebody. */
  get #unwanted (): boolean { return !this.#reading && !this.pausing.byApp && !this.#listening && this.#single < 2 }

  // As the app sees it.

  pausedByApp (on: boolean): void {
    // As with ws, a socket that has closed cannot be paused; nor can one that closes.
    if (this.over) return this.pausing.apply()
    const before = this.pausing.byApp
    this.pausing.because(why.app, on)
    if (this.pausing.byApp && !before) this.inbox?.mark()
    if (!on) this.#handOut()
    // While it was paused a reader was to be expected; what was read on for others may be for nobody.
    if (!on) this.#bound()
  }

  settled (): void {
    this.#settled = true
    this.#bound()
  }

  /** A listener is about to be added. */
  listening (): void {
    this.#releaseSoon()
  }

  messages (one = false): AsyncIterableIterator<Message> {
    const messages = (this.#iteration ??= new Iteration(this)).messages()
    this.#single = one ? this.#single + 1 : 0
    this.#pushOnly = false
    return messages
  }

  // As the iteration sees it.

  /** While nobody gets what comes, the reader still gets what had come before. */
  next (): Held | undefined {
    return this.pausing.byApp && this.inbox?.beforeMark !== true ? undefined : this.takeRipe()
  }

  /** What it did not take is for whoever comes next. */
  left (): void {
    // The next reader may come in the same turn, from the code that had this one.
    later(() => { if (!this.over) this.#bound() })
    this.#expect()
    this.#releaseSoon()
  }

  // As the transport sees it.

  /** The peer sends too much; or what it sent has been made up for. */
  throttle (on: boolean): void {
    this.pausing.because(why.rate, on)
  }

  /** The time of what has had to wait until now has come. @returns when that of the next comes, monotonic in ms; Infinity: none waits */
  release (now: number): number {
    this.inbox?.ripen(now)
    this.#handOut()
    // The listeners may have ended it, or taken what waits away.
    return this.inbox?.ripen(now) ?? Infinity
  }

  /** This side closes, or the app has had enough: the peer's answer must be read, whatever comes before it. */
  closing (): void {
    this.#goOn(this.pausing.stopped ? stage.muted : stage.closing)
    this.discard()
  }

  /** The app closes the socket itself: its listeners get what comes until the peer's answer, as with ws. */
  closingByApp (): void {
    if (!this.#listening) {
      this.closing()
    } else if (!this.pausing.byApp) {
      this.#goOn(stage.closing)
      this.#release(true)
    }
  }

  mute (): void {
    this.#goOn(stage.muted)
  }

  /** Nothing comes any more: listeners get what waits for them, before they hear of the end. */
  end (): void {
    this.#goOn(stage.closing)
    this.#release(true)
  }

  shut (): void {
    this.#goOn(stage.shut)
    this.clear()
  }

  #goOn (to: number): void {
    this.stage = Math.max(this.stage, to)
    this.#iteration?.wake()
    this.pausing.apply()
  }

  #handOut (): void {
    this.#iteration?.wake()
    this.#release()
  }

  // What is held.

  #keep (data: RawData, binary: boolean, heard: boolean, time: number): void {
    const before = this.pausing.sated
    this.hold(data, binary, heard, time)
    this.#iteration?.wake()
    this.#bound()
    this.pausing.grown(before)
  }

  /** Lets go what nobody will want, or has reading paused, if too much is held. */
  #bound (): void {
    const { held } = this
    if (this.#settled && held > HELD_MAX && this.#unwanted) {
      this.#pushOnly = true
      this.discard()
    } else if (held > (this.#reading ? HIGH_WATER : HELD_MAX)) {
      this.pausing.because(why.behind, true)
    }
  }

  // How listeners get it.

  /** A listener that comes is announced. */
  #expect (): void {
    const { socket } = this.line
    if (this.inbox === null || this.inbox.empty || socket.listenerCount('newListener', announce) > 0) return
    socket.on('newListener', announce)
  }

  /** A listener that is being added is there only after this turn of the code; and so is the next reader of a loop. */
  #releaseSoon (): void {
    if (this.inbox !== null) process.nextTick(() => { this.#release() })
  }

  /** Gives to the listeners what waits for them, as much of it as they shall have in one turn; `all`: whatever there is. */
  #release (all = false): void {
    // A listener that pauses and resumes comes back here: the loop that called it goes on.
    if (this.inbox === null || this.#releasing) return
    this.#releasing = true
    const { socket, bare } = this.line
    let given = 0
    // What a listener throws does not come out here: it is supervised.
    while (!this.#reading && !this.pausing.byApp && this.#listening) {
      if (given > HIGH_WATER && !all) {
        later(() => { this.#release() })
        break
      }
      const held = this.takeRipe()
      if (held === undefined) {
        if (this.inbox.empty) socket.off('newListener', announce)
        break
      }
      if (held.heard) continue
      given += held.cost
      this.#listened = true
      bare.emit(socket, 'message', held.toRaw(socket.binaryType), held.binary)
    }
    this.#releasing = false
  }
}
