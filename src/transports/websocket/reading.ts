/**
 * Who gets a message, and when the socket is read at all.
 * Invariant: the socket reads from the start (a paused one sees no pong, no FIN, no reset);
 * no message is lost before the first reader, and none overtakes another.
 */
import type WebSocket from 'ws'
import { later, turn } from '../../core/time/loop.js'
import type { Message, Reader } from '../transport.js'
import { OVERHEAD } from './held.js'
import type { RawData } from './held.js'
import { HIGH_WATER, Inbox, READ_ON_MAX } from './inbox.js'
import type { Gate } from './inbox.js'
import type { Bare } from './supervise.js'

/** Present while messages wait for a listener: with it, EventEmitter announces new ones. */
const announce = (): void => {}

/**
 * What may wait for a reader that is stuck, in bytes, before the peer is not looked at any more: every look
 * lets a little in. (Then the kernel finds it dead, when nobody acknowledges the pings: some 15 minutes.)
 */
const PEEK_MAX = 4 * HIGH_WATER

/**
 * How many pings and pongs of one peer are taken in a turn of the loop, and what comes in the same 64 KiB: Node reads 2 MiB of a socket
 * in one, which are 350,000 empty pings, while all others wait.
 */
const SIGNALS_MAX = 5_000

/** Who is told of messages that nobody got; see Gate. */
export interface ReadingOwner extends Pick<Gate, 'dropped' | 'ignored'> {
  /** As much waits as may: no answer of the peer will be seen. */
  blinded (): void
}

export class Reading implements Gate, Reader {
  /** A message has come. */
  spoken = false
  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #owner: ReadingOwner
  #inbox: Inbox | null = null
  /** A listener has taken a message: once the handler has settled, no listener means none wanted, as with ws. */
  #listened = false
  #releasing = false
  #settled = false
  #ended = false
  /** Paused by the app. */
  #paused = false
  /** Paused because a reader has fallen behind. */
  #behind = false
  /** Paused because the peer sends too much. */
  #throttled = false
  #peeking = false
  /** What pings and pongs came while it was paused for sending too much, counted as if they were held, in bytes. */
  #excess = 0
  /** How many came in this turn, and the turn. */
  #signals = 0
  #turn = -1
  /** Paused until the next turn. */
  #resting = false
  /** Somebody waits for an answer of the peer. */
  #readsOn = false
  /** This side has begun to close: nothing waits for anybody any more. */
  #closing = false
  /** See `shut`. */
  #shut = false
  /** It was paused when it did, or it closed for what came: the listeners shall not have more. */
  #muted = false

  constructor (socket: WebSocket, bare: Bare, owner: ReadingOwner) {
    this.#socket = socket
    this.#bare = bare
    this.#owner = owner
  }

  /** Nothing is read: not even for somebody who waits for an answer. */
  get paused (): boolean { return this.#stopped && !(this.#readsOn && !this.#sated) }

  get throttled (): boolean { return this.#throttled && !this.#paused && !this.#behind }

  /** Reading has stopped, and would not go on for an answer of the peer either. */
  get blind (): boolean { return !this.#closing && this.#stopped && this.#sated }

  /** Whoever is to get messages shall not have more for now. */
  get #stopped (): boolean { return this.#withheld || this.#behind }

  /** Nobody gets anything, though it be read on for an answer of the peer. */
  get #withheld (): boolean { return this.#paused || this.#throttled }

  get #sated (): boolean { return this.#inbox?.sated === true || this.#excess >= READ_ON_MAX }

  /** Grows with what readers take. */
  get consumed (): number { return this.#inbox?.consumed ?? 0 }

  get peeking (): boolean { return this.#peeking }

  /** The one rule of who gets what comes now. */
  #taker (): 'reader' | 'listeners' | 'inbox' | 'nobody' {
    const listening = this.wanted()
    if (this.#closing) return listening && !this.#muted ? 'listeners' : 'nobody'
    if (this.#inbox?.reading === true) return 'reader'
    if (this.#withheld) return 'inbox'
    const waiting = this.#inbox !== null && !this.#inbox.empty
    if (listening) return waiting ? 'inbox' : 'listeners'
    // While the handler is at work another reader may come, as after a first message that was awaited.
    return this.#listened && this.#settled && !waiting ? 'nobody' : 'inbox'
  }

  /** Takes a message from the wire; true if the listeners must not see it now. */
  message (data: RawData, binary: boolean): boolean {
    this.spoken = true
    if (this.#shut) return true
    const taker = this.#taker()
    if (taker === 'listeners') {
      this.#listened = true
      return false
    }
    if (taker === 'nobody') {
      this.ignored()
      return true
    }
    const inbox = this.#open()
    const listening = this.wanted()
    inbox.add({ data, binary, heard: taker === 'reader' && listening })
    if (this.#peeking) this.peek(false)
    if (taker === 'reader') return !listening
    this.#expect()
    // It may have come unannounced: removeAllListeners takes the announcement away too.
    if (listening) this.#releaseSoon()
    return true
  }

  /** A ping or pong came. Nothing of it waits, but what a rate has shut is open to it no further than to messages. */
  signal (bytes: number): void {
    if (this.#peeking) this.peek(false)
    if (this.#throttled) {
      const before = this.#sated
      this.#excess += OVERHEAD.bytes + bytes
      if (this.#sated !== before) this.sated(true)
    }
    const { number } = turn
    if (number !== this.#turn) {
      this.#turn = number
      this.#signals = 0
    }
    if (++this.#signals === SIGNALS_MAX) this.#rest()
  }

  /** A listener is about to be added. */
  listening (): void {
    if (this.#inbox !== null) this.#releaseSoon()
  }

  messages (): AsyncIterableIterator<Message> {
    const inbox = this.#open()
    const messages = inbox.messages()
    if (this.#ended || this.#closing || this.#shut) inbox.end()
    return messages
  }

  // The socket tells its supervisor, and so us, of both.
  pause (): void { this.#socket.pause() }
  resume (): void { this.#socket.resume() }

  pausedByApp (on: boolean): void {
    // As with ws, a socket that has closed cannot be paused.
    if (this.#ended) return
    this.#paused = on
    this.#inbox?.hold(this.#withheld)
    this.#apply()
    if (on) return
    this.#release()
    // While it was paused a reader was to be expected; what was read on for others may be for nobody.
    this.#inbox?.bound()
  }

  /** The peer sends too much; or what it sent has been made up for. */
  throttle (on: boolean): void {
    if (this.#ended) return
    this.#throttled = on
    this.#excess = 0
    this.#inbox?.hold(this.#withheld)
    this.#apply()
    if (!on) this.#release()
  }

  /** The inbox asks for a rest, or has had it. */
  hold (on: boolean): void {
    this.#behind = on
    this.#apply()
  }

  /** As much is held as may be; or no longer. */
  sated (on: boolean): void {
    this.#apply()
    if (on) this.#owner.blinded()
  }

  /** A reader has left: what it did not take is for whoever comes next. */
  left (): void {
    this.#expect()
    this.#releaseSoon()
  }

  dropped (messages: number, bytes: number): void {
    this.#owner.dropped(messages, bytes)
  }

  ignored (): void {
    this.#owner.ignored()
  }

  /** While on, it reads on although paused, until READ_ON_MAX waits, or came in pings and pongs: somebody waits for an answer of the peer. */
  readOn (on: boolean): void {
    if (this.#ended) return
    this.#readsOn = on
    this.#apply()
  }

  /** Reads on although paused, until anything comes; false if too much has come already. */
  peek (on: boolean): boolean {
    this.#peeking = on && this.#excess < PEEK_MAX && (this.#inbox === null || this.#inbox.bytes < PEEK_MAX)
    this.#apply()
    return this.#peeking
  }

  /** Whoever paused the socket will resume it for somebody. */
  expected (): boolean {
    return this.#paused || this.wanted()
  }

  /** Whether a listener waits for messages. */
  wanted (): boolean {
    return this.#socket.listenerCount('message') > 0
  }

  settled (): void {
    this.#settled = true
    this.#inbox?.settled()
  }

  shut (): void {
    this.#shut = true
    this.#inbox?.shut()
  }

  /** This side closes: the peer's answer must be read, whatever comes before it. */
  closing (): void {
    this.#closing = true
    this.#muted = this.#stopped
    this.#inbox?.discard()
    this.#inbox?.end()
    this.#apply()
  }

  /** Whatever comes from now on, until the end, is for nobody. */
  mute (): void {
    this.#muted = true
  }

  /** The app closes the socket itself: its listeners get what comes until the peer's answer, as with ws. */
  closingByApp (): void {
    if (!this.wanted()) this.closing()
  }

  /** Nothing comes any more: listeners get what waits for them, before they hear of the end. */
  end (): void {
    this.#ended = true
    this.#paused = this.#throttled = false
    this.#release(true)
    this.#inbox?.end()
  }

  #open (): Inbox {
    if (this.#inbox === null) {
      this.#inbox = new Inbox(this)
      if (this.#settled) this.#inbox.settled()
      this.#inbox.hold(this.#withheld)
    }
    return this.#inbox
  }

  /** Whoever else has sent something has his turn. */
  #rest (): void {
    this.#resting = true
    this.#apply()
    later(() => {
      this.#resting = false
      if (!this.#ended) this.#apply()
    })
  }

  #apply (): void {
    const pause = this.#resting || (this.paused && !this.#peeking && !this.#closing)
    if (pause === this.#socket.isPaused) return
    if (pause) this.#bare.pause(this.#socket)
    else this.#bare.resume(this.#socket)
  }

  #expect (): void {
    if (this.#inbox!.empty || this.#socket.listenerCount('newListener', announce) > 0) return
    this.#socket.on('newListener', announce)
  }

  /** A listener that is being added is there only after this turn of the code; and so is the next reader of a loop. */
  #releaseSoon (): void {
    process.nextTick(() => { this.#release() })
  }

  /** Gives to the listeners what waits for them, as much of it as they shall have in one turn; `all`: whatever there is. */
  #release (all = false): void {
    const inbox = this.#inbox
    // A listener that pauses and resumes comes back here: the loop that called it goes on.
    if (inbox === null || this.#releasing) return
    this.#releasing = true
    let given = 0
    // What a listener throws does not come out here: it is supervised.
    while (!inbox.reading && !this.#withheld && !this.#shut && this.wanted()) {
      if (given > HIGH_WATER && !all) {
        later(() => { this.#release() })
        break
      }
      const held = inbox.take()
      if (held === undefined) {
        this.#socket.off('newListener', announce)
        break
      }
      if (held.heard) continue
      given += held.cost
      this.#listened = true
      this.#bare.emit(this.#socket, 'message', held.toRaw(this.#socket.binaryType), held.binary)
    }
    this.#releasing = false
  }
}
