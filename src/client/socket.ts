/**
 * A WebSocket that comes back. With a server that can resume, a session outlives its wires: nothing is lost, doubled, or out of order.
 * Invariant: `open` and `close` bracket a session, `reconnecting` and `resume` a wire; on a plain server each wire is a session. What
 * `send` has taken is sent, or its fate is told; after the last `close` nothing happens any more, unless the app says `reconnect`.
 */
import { ClientSession } from '../protocol/client-session.js'
import type { ClientOwner, ClientWire, Gap } from '../protocol/client-session.js'
import { escaped } from '../protocol/frames.js'
import type { Hello } from '../protocol/frames.js'
import { Attempt } from './attempt.js'
import type { AttemptOwner, AttemptSettings, CloseEvent, Protocols, Source } from './attempt.js'
import { Comeback, STABLE } from './comeback.js'
import { Face, state } from './face.js'
import { readOptions } from './options.js'
import type { LifelineSocketOptions, Settings } from './options.js'
import { delivering, keep, queuedIn } from './sent.js'
import type { Outcome, Patience, Sent } from './sent.js'
import { watchSigns } from './signs.js'
import { Watch } from './watch.js'
import { sizeOf, Timer, world } from './world.js'
import type { InnerSocket } from './world.js'

/** What was taken is confirmed after so long at the latest, in ms. */
const OWES = 1_000

const CUT: CloseEvent = { code: 1006, reason: '', wasClean: false }

export class LifelineSocket extends Face implements ClientOwner<Sent>, AttemptOwner {
  readonly #settings: Settings
  readonly #dial: Pick<AttemptSettings, 'WebSocket' | 'url' | 'protocols' | 'limit'>
  readonly #session = new ClientSession<Sent>(this)
  readonly #watch: Watch
  readonly #comeback: Comeback
  #binaryType = world.document === undefined ? 'arraybuffer' : 'blob'
  /** null: none is under way, nor open. */
  #attempt: Attempt | null = null
  /** null: the server does not speak the protocol, or there is no wire. */
  #wire: ClientWire<Sent> | null = null
  /** There is a session, and the app was told so. */
  #opened = false
  #everOpened = false
  /** The next attempt goes without the offer. */
  #bare = false
  /** The page is kept, and not shown. */
  #hidden = false
  #last = CUT
  readonly #retry = new Timer()
  readonly #owing = new Timer()
  readonly #stable = new Timer()
  #unwatch = (): void => {}

  /**
   * @param url a function is called for each attempt, as with a token that runs out
   * @throws what the WebSocket of the runtime throws for a wrong URL or protocol; TypeError for a wrong option
   */
  constructor (url: Source<string | URL>, protocols?: Source<Protocols>, options: LifelineSocketOptions = {}) {
    super()
    this.#settings = readOptions(options)
    const { WebSocket, connectTimeout: limit } = this.#settings
    this.#dial = { WebSocket, url, protocols, limit }
    this.#comeback = new Comeback(this.#settings)
    this.#watch = new Watch({
      ask: () => { this.#session.tell(true) },
      silent: () => { this.#lose({ ...CUT, reason: 'the server has said nothing' }, true) }
    })
    this.#start()
  }

  get binaryType (): string { return this.#binaryType }
  set binaryType (type: string) {
    this.#binaryType = type
    if (this.#socket !== null) this.#socket.binaryType = type
  }

  /** How many attempts have failed in a row. */
  get retryCount (): number { return this.#comeback.attempts }
  get extensions (): string { return this.#socket?.extensions ?? '' }
  /** Bytes that wait here, or that the server has not confirmed. */
  get bufferedAmount (): number { return this.queued.bytes + (this.#wire === null ? this.#socket?.bufferedAmount ?? 0 : 0) }
  /** What waits to be sent or confirmed. */
  get queued (): { readonly messages: number, readonly bytes: number } { return queuedIn(this.#session) }
  /** Whether the session goes on when the wire is cut. */
  get resumable (): boolean { return this.#session.resumable }

  /** Sends a message, now or when there is a session. @returns false: it was not taken, for too much waits or it is closed; then there is a `drop` event as well */
  send (data: any): boolean { return this.#send(data, null) === null }

  /** Sends it, and waits until the server's app has taken it. Rejects by the signal alone. */
  deliver (data: any, options: Patience = {}): Promise<{ outcome: Outcome }> {
    return delivering((settle) => {
      const refused = this.#send(data, settle)
      if (refused === null) this.#session.tell(true)
      return refused
    }, options)
  }

  /** Ends it for good. @param code 1000, or 3000 to 4999 @throws what the WebSocket of the runtime throws for a wrong code or reason */
  close (code: number = 1000, reason: string = ''): void {
    if (this.readyState >= state.CLOSING) return
    const done = (event: CloseEvent): void => { this.#finish(event) }
    // Without a wire it is told later all the same.
    if (this.#attempt === null) this.#retry.in(0, () => { done({ code, reason, wasClean: false }) })
    else this.#attempt.end(code, reason, done)
    this.readyState = state.CLOSING
    this.#clear(this.#attempt === null)
    this.#unwatch()
  }

  /** Leaves the wire that it has, or the wait for one, and opens another now; also when it is closed. */
  reconnect (): void {
    if (this.readyState === state.CLOSED) {
      this.readyState = state.CONNECTING
      this.#start()
    } else if (this.readyState < state.CLOSING) {
      this.#lose(CUT, true)
    }
  }

  get #socket (): InnerSocket | null { return this.#attempt?.socket ?? null }

  /** @returns why it was not taken; null: it was */
  #send (data: any, settle: Sent['settle']): 'gone' | 'full' | null {
    const closed = this.readyState >= state.CLOSING
    const socket = this.#socket
    if (!closed && this.#opened && this.#wire === null && !this.#session.resumable && socket?.readyState === state.OPEN) {
      socket.send(data)
      settle?.('unconfirmed')
      return null
    }
    const reason = closed ? 'gone' : keep(this.#session, data, settle, this.#settings.queue)
    if (reason !== null) this.tell('drop', { data, reason })
    return reason
  }

  // Attempts.

  #start (): void {
    // What is wrong with it is told at once.
    this.#connect()
    this.#unwatch = watchSigns({ woke: (why) => { this.#woke(why) }, leaves: (comesBack) => { this.#pageLeaves(comesBack) } })
  }

  #connect (): void {
    this.#retry.cancel()
    const claim = this.#settings.resume && !this.#bare ? () => this.#session.leave() : undefined
    this.#attempt = new Attempt({ ...this.#dial, claim, binaryType: this.#binaryType }, this)
    this.#attempt.start()
  }

  #connectAgain (): void {
    try {
      this.#connect()
    } catch (error) {
      // At the first attempt it is thrown; later it may be right again the next time.
      this.#attempt!.fail(error)
    }
  }

  dialled (url: string): void { this.#settings.debug('attempt', this.url = url) }

  wireOpened (socket: InnerSocket, speaks: boolean): void {
    this.protocol = socket.protocol
    if (!speaks) return this.#openPlain(socket)
    const wire: ClientWire<Sent> = this.#wire = {
      tell: (text) => { socket.send(text) },
      send: ({ data }) => { socket.send(typeof data === 'string' ? escaped(data) : data) },
      close: () => { this.#lose({ ...CUT, reason: 'the server has broken the protocol' }) }
    }
    this.#session.attach(wire)
  }

  heard (data: any): void {
    this.#watch.heard()
    if (this.#wire === null) this.message(data)
    else this.#session.heard(this.#wire, data, sizeOf(data))
  }

  failed (error: unknown): void { this.tell('error', { error, message: String(error) }) }

  lost (event: CloseEvent, opened: boolean): void {
    // A browser fails a socket whose server selects none of what was offered.
    this.#bare = !opened && !this.#everOpened && this.#settings.resume && !this.#bare
    if (this.#bare) this.#connectAgain()
    else this.#lose(event)
  }

  // Sessions.

  #openPlain (socket: InnerSocket): void {
    const { waiting, gap } = this.#session.end()
    this.#open(gap)
    for (const { data, settle } of waiting) {
      socket.send(data)
      settle?.('unconfirmed')
    }
  }

  opened (hello: Hello, gap: Gap<Sent> | null): void {
    this.#greeted(hello)
    this.#open(gap)
  }

  resumed (hello: Hello): void {
    this.#greeted(hello)
    this.#arrived()
    this.tell('resume')
  }

  #greeted ({ protocol, beat }: Hello): void {
    this.protocol = protocol
    this.#watch.start(beat)
  }

  #open (gap: Gap<Sent> | null): void {
    this.#closeSession()
    for (const { settle } of gap?.unknown ?? []) settle?.('unconfirmed')
    if (gap !== null) this.tell('gap', { reason: gap.reason, received: gap.received, groups: [], unknown: gap.unknown.map(({ data }) => data) })
    this.#opened = this.#everOpened = true
    this.#bare = false
    this.readyState = state.OPEN
    this.#arrived()
    this.tell('open')
  }

  #arrived (): void {
    this.#attempt?.arrived()
    this.#stable.in(STABLE, () => { this.#comeback.progress() })
  }

  message (data: string | object): void {
    this.#comeback.progress()
    this.tell('message', { data, origin: this.url, lastEventId: '', ports: [] })
  }

  confirmed ({ settle }: Sent): void { settle?.('delivered') }
  missed (reason: string, groups: readonly string[]): void { this.tell('gap', { reason, groups, received: this.#session.received, unknown: [] }) }

  owes (): void {
    if (!this.#owing.waiting) this.#owing.in(OWES, () => { if (this.#session.owing) this.#session.tell() })
  }

  // Ends.

  /** There is no wire any more. @param atOnce another is tried now, whatever the server has said */
  #lose (event: CloseEvent, atOnce = false): void {
    const wire = this.#wire
    this.#attempt?.leave()
    this.#clear()
    this.#last = event
    if (wire !== null) this.#session.lost(wire, event.code)
    const delay = this.#comeback.after(event, atOnce)
    if (delay === null) return this.#finish(event)
    if (!this.#session.resumable) this.#closeSession()
    // The app may have closed it when it was told.
    if (this.#hidden || this.readyState >= state.CLOSING) return
    this.#retry.in(delay, () => { this.#connectAgain() })
    this.#settings.debug('lost', event.code, event.reason, `again in ${Math.round(delay)} ms`)
    this.tell('reconnecting', { delay, retryCount: this.retryCount, code: event.code, reason: event.reason })
  }

  #closeSession (): void {
    if (!this.#opened) return
    this.#opened = false
    this.readyState = state.CONNECTING
    this.tell('close', this.#last)
  }

  #clear (ends = false): void {
    this.#wire = this.#attempt = null
    this.#watch.stop()
    for (const timer of [this.#owing, this.#stable]) timer.cancel()
    if (!ends) this.#retry.cancel()
  }

  #finish (event: CloseEvent): void {
    if (this.readyState === state.CLOSED) return
    this.#clear()
    this.#unwatch()
    this.readyState = state.CLOSED
    this.#opened = false
    const { waiting, gap } = this.#session.end()
    for (const { settle } of waiting) settle?.('gone')
    for (const { settle } of gap?.unknown ?? []) settle?.('unconfirmed')
    this.tell('close', event)
  }

  #woke (why: string): void {
    this.#hidden = false
    if (this.#attempt === null) this.#connectAgain()
    else if (this.#session.attached) this.#watch.ask(why)
  }

  #pageLeaves (comesBack: boolean): void {
    if (!comesBack) return this.close()
    // An empty close says "I come back".
    this.#hidden = true
    this.#lose(CUT)
  }
}
