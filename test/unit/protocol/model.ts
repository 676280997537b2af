/**
 * A world for the protocol: a server, a client, and a network that delays, loses, cuts, and lets attempts arrive late or twice. Both
 * endpoints are those that are shipped; all around them is made up here, of one seed.
 * `history` plays one and tells what has been violated.
 */
import { decode, escaped } from '../../../src/protocol/frames.js'
import type { Claim } from '../../../src/protocol/offer.js'
import { ClientSession } from '../../../src/protocol/client-session.js'
import type { ClientOwner, ClientWire, Gap } from '../../../src/protocol/client-session.js'
import type { Hello, Reason } from '../../../src/protocol/frames.js'
import { ServerSession } from '../../../src/protocol/server-session.js'
import type { ServerOwner, ServerWire } from '../../../src/protocol/server-session.js'
import { Dice, Time } from './time.js'

/** What a history has had of each: a model in which nothing happens proves nothing. */
export interface Happened { resumed: number, fresh: number, replaced: number, late: number, stolen: number, cuts: number, taken: number, pushed: number, expired: number, gaps: number }

const CREDIT = 60
const LIMIT = 160
/** Nobody waits longer for a hello, in ms. */
const PATIENCE = 400
/** A server finds a dead wire within this time, in ms. */
const DETECTION = 700
/** How long faults go on, in ms; and how long all may take to be right again. */
const TROUBLE = 2500
const PEACE = 12_000

/** One direction of a wire: in order, each frame with a delay, and nothing behind a cut. */
class Pipe {
  cut = false
  #last = 0
  readonly time: Time
  readonly dice: Dice
  readonly arrive: (frame: string) => void

  constructor (time: Time, dice: Dice, arrive: (frame: string) => void) {
    this.time = time
    this.dice = dice
    this.arrive = arrive
  }

  send (frame: string): void {
    if (this.cut) return
    this.#last = Math.max(this.#last, this.time.now + 1 + this.dice.below(60))
    this.time.at(this.#last, () => { if (!this.cut) this.arrive(frame) })
  }

  /** Behind what is on its way. */
  after (then: () => void): void {
    this.time.at(Math.max(this.#last, this.time.now + 1), () => { if (!this.cut) then() })
  }
}

/** A run of the handler: reads one message at a time, and works at each for a while. */
class Run implements ServerWire<string> {
  taken = 0
  readonly inbox: string[] = []
  #shut = false
  #room = 0
  #works = false

  readonly world: World
  readonly session: Hosted
  readonly down: Pipe
  readonly gone: (code: number) => void

  constructor (world: World, session: Hosted, down: Pipe, gone: (code: number) => void) {
    this.world = world
    this.session = session
    this.down = down
    this.gone = gone
  }

  get roomy (): boolean { return this.#room < 4 }

  tell (text: string): void { this.down.send(text) }

  send (message: string): void {
    this.#room++
    this.world.time.after(1 + this.world.dice.below(30), () => {
      this.#room--
      this.session.protocol.pump()
    })
    this.down.send(escaped(message))
  }

  shut (): number {
    this.#shut = true
    this.inbox.length = 0
    return this.taken
  }

  close (code: number): void { this.gone(code) }

  heard (text: string): void {
    const frame = decode(text)
    if (!this.session.protocol.heard(this, frame, text.length)) return
    this.inbox.push((frame as { text: string }).text)
    this.read()
  }

  read (): void {
    const { session, world } = this
    if (this.#works || this.#shut || this.inbox.length === 0 || !session.protocol.mayTake(this)) return
    const message = this.inbox.shift()!
    this.taken++
    this.#works = true
    session.protocol.works(this)
    session.begins(message)
    session.protocol.took(this)
    world.time.after(world.dice.below(80), () => {
      this.#works = false
      session.ends(message)
      session.protocol.settled(this)
      this.read()
      session.run?.read()
    })
  }
}

/** A session, and what the app at the server makes of it. */
class Hosted implements ServerOwner {
  readonly pushed: string[] = []
  readonly handled: string[] = []
  readonly protocol: ServerSession<string>
  run: Run | null = null
  detachedAt = 0
  #working: string | null = null
  #owes = false

  readonly world: World
  readonly id: string
  readonly window: number

  constructor (world: World, id: string, window: number) {
    this.world = world
    this.id = id
    this.window = window
    const { minting } = world
    this.protocol = new ServerSession({ id, node: 'n', window, limit: LIMIT, credit: CREDIT, payload: 1000, beat: 1000 }, minting, {
      add: (hash) => { world.sessions.set(hash, this) },
      delete: (hash) => { world.sessions.delete(hash) }
    }, this)
  }

  push (): void {
    if (this.protocol.ended || this.protocol.kept.bytes > LIMIT) return
    const message = `${this.world.dice.below(6) === 0 ? '\0' : ''}s${this.pushed.length}`
    this.pushed.push(message)
    this.world.happened.pushed++
    const seq = this.protocol.push(message, message.length)
    // A deliver that has had its answer, in time or not.
    if (this.world.dice.below(4) === 0) this.protocol.kept.answered(seq)
  }

  begins (message: string): void {
    if (this.#working !== null) this.world.violated(`order: ${message} begins while ${this.#working} is at work`)
    this.#working = message
    this.handled.push(message)
    this.world.handled(message)
  }

  ends (message: string): void { if (this.#working === message) this.#working = null }

  confirmed (): void {}
  owes (): void {
    if (this.#owes) return
    this.#owes = true
    this.world.time.after(50, () => { this.#owes = false; this.protocol.tell() })
  }

  ended (): void {}

  lost (run: Run, code: number): void {
    if (!this.protocol.has(run)) return
    this.protocol.lost(run, code)
    if (this.protocol.ended) return
    const at = this.detachedAt = this.world.time.now
    this.world.time.after(this.window, () => {
      if (this.protocol.attached || this.protocol.ended || this.detachedAt !== at) return
      this.world.happened.expired++
      this.protocol.end(1006)
    })
  }
}

/** A session as its client has seen it. */
interface Segment { id: string, got: string[], gap: Gap<Sent> | null }
interface Sent { text: string, fate: 'waits' | 'taken' | 'unknown' }

/** The client: an app that sends, and what brings it back. */
class Client implements ClientOwner<Sent> {
  readonly sent: Sent[] = []
  readonly segments: Segment[] = []
  readonly protocol = new ClientSession<Sent>(this)
  #attempt = 0
  #close: ((code: number | null) => void) | null = null
  #owes = false
  #opens = 0

  readonly world: World

  constructor (world: World) {
    this.world = world
  }

  get attached (): boolean { return this.protocol.attached }

  send (text = `${this.world.dice.below(6) === 0 ? '\0' : ''}c${this.sent.length}`): void {
    const message: Sent = { text, fate: 'waits' }
    this.sent.push(message)
    this.protocol.send(message, text.length)
  }

  /** Opens another wire; whatever there was is left alone. @param code of the close frame that the old one gets; null: not a word */
  connect (code: number | null = null): void {
    this.#close?.(code)
    this.#close = null
    const attempt = ++this.#attempt
    const claim = this.protocol.leave()
    const current = (): boolean => this.#attempt === attempt
    this.#close = this.world.attempt(claim, this.segments.at(-1)?.id ?? null, {
      current,
      open: (up) => {
        if (!current()) return null
        const wire: ClientWire<Sent> = { tell: (text) => { up(text) }, send: ({ text }) => { up(escaped(text)) }, close: () => { this.again(current) } }
        this.protocol.attach(wire)
        return {
          heard: (text) => { this.protocol.heard(wire, text, text.length) },
          closed: (code) => {
            this.protocol.lost(wire, code)
            if (current()) this.again(current)
          }
        }
      }
    })
    this.world.time.after(PATIENCE, () => { if (current() && !this.attached) this.connect() })
  }

  again (current: () => boolean): void { this.world.time.after(1 + this.world.dice.below(100), () => { if (current()) this.connect() }) }

  opened (hello: Hello, gap: Gap<Sent> | null): void {
    this.world.happened.fresh++
    if (gap !== null) {
      this.world.happened.gaps++
      if (gap.received !== this.segments.at(-1)!.got.length) this.world.violated('told: a gap with a wrong count')
      for (const message of gap.unknown) message.fate = 'unknown'
    } else if (this.segments.length > 0) {
      this.world.violated('told: another session, and no gap')
    }
    this.segments.push({ id: hello.id, got: [], gap })
    this.send(`open-${this.#opens++}`)
  }

  resumed (): void { this.world.happened.resumed++ }
  message (data: string | object): void {
    this.world.happened.taken++
    this.segments.at(-1)!.got.push(data as string)
  }

  confirmed (message: Sent): void { message.fate = 'taken' }
  missed (): void {}
  owes (): void {
    if (this.#owes) return
    this.#owes = true
    this.world.time.after(50, () => { this.#owes = false; if (this.protocol.owing) this.protocol.tell() })
  }
}

/** The client's side of an attempt; null: nobody waits for it any more. */
interface Opening { current: () => boolean, open: (up: (frame: string) => void) => { heard: (text: string) => void, closed: (code: number) => void } | null }

export class World {
  readonly dice: Dice
  readonly time = new Time()
  readonly sessions = new Map<string, Hosted>()
  readonly hosted: Hosted[] = []
  readonly happened: Happened = { resumed: 0, fresh: 0, replaced: 0, late: 0, stolen: 0, cuts: 0, taken: 0, pushed: 0, expired: 0, gaps: 0 }
  readonly violations: string[] = []
  readonly minting = { mint: (): string => String(++this.#tokens).padStart(43, 't'), hash: (token: string): string => `#${token}` }
  readonly #handled = new Map<string, number>()
  #tokens = 0
  #peace = false
  readonly #client = new Client(this)
  /** Whether anybody else has come by the client's token. */
  #stolen = false
  #lastClaim: Claim | null = null

  constructor (seed: number) { this.dice = new Dice(seed) }

  violated (what: string): void { this.violations.push(`${what} (at ${this.time.now} ms)`) }

  handled (message: string): void {
    const times = (this.#handled.get(message) ?? 0) + 1
    this.#handled.set(message, times)
    if (times > 1) this.violated(`twice: ${message.replace('\0', '\\0')}`)
  }

  /** @param of the session that the client was in last @returns what leaves the wire */
  attempt (claim: Claim | null, of: string | null, { current, open }: Opening): (code: number | null) => void {
    const { time, dice } = this
    let side: ReturnType<Opening['open']> = null
    let end: (code: number | null) => void = () => {}
    if (claim !== null) this.#lastClaim = claim
    if (!this.#peace && dice.below(8) === 0) return end
    const late = !this.#peace && dice.below(6) === 0
    time.after(1 + dice.below(60), () => {
      const run = this.#accept(claim, current() ? of : null, (frame) => { side?.heard(frame) }, (code) => { side?.closed(code) })
      side = open((frame) => { run.up.send(frame) })
      if (side === null) {
        run.lost(1006)
        return
      }
      end = (code) => { if (code === null) run.forgotten(); else run.up.after(() => { run.lost(code) }) }
      // Cut in the middle of anything; each side finds out when it does.
      if (!this.#peace && dice.below(3) > 0) time.after(dice.below(600), () => { if (!this.#peace) run.cut() })
    })
    // The same attempt again: whatever held it up has let it go when its client waits for it no longer.
    if (late) time.after(60 + dice.below(900), () => { if (!this.#peace) { this.happened.late++; this.#accept(claim, null, () => {}, () => {}).forgotten() } })
    return (code) => { end(code) }
  }

  /** @param of null: nobody waits for the answer */
  #accept (claim: Claim | null, of: string | null, heard: (frame: string) => void, closed: (code: number) => void): { up: Pipe, lost: (code: number) => void, cut: () => void, forgotten: () => void } {
    const { time, dice } = this
    const hash = claim === null ? '' : this.minting.hash(claim.token)
    const found = this.sessions.get(hash)
    const resumes = found !== undefined && found.protocol.reaches(claim!.received)
    const reason: Reason = claim === null ? 'new' : found === undefined ? 'unknown' : 'behind'
    const before = this.hosted.find(({ id }) => id === of)
    if (!resumes && !this.#stolen && claim !== null && before !== undefined && !before.protocol.ended && before.protocol.reaches(claim.received)) this.violated(`needless: ${reason}, though the session lives`)
    const session = resumes ? found : this.#host()
    if (resumes && session.protocol.attached) this.happened.replaced++
    const down = new Pipe(time, dice, heard)
    const lost = (code: number): void => { session.lost(run, code) }
    // The server's own close frame goes behind what it has sent.
    const run: Run = new Run(this, session, down, (code) => { down.after(() => { closed(code) }) })
    const up = new Pipe(time, dice, (text) => { run.heard(text) })
    session.run = run
    session.protocol.attach(run, '', resumes ? { hash, received: claim!.received } : null, reason)
    const forgotten = (): void => { time.after(dice.below(DETECTION), () => { lost(1006) }) }
    return {
      up,
      lost,
      forgotten,
      cut: () => {
        this.happened.cuts++
        up.cut = down.cut = true
        time.after(dice.below(300), () => { closed(1006) })
        forgotten()
      }
    }
  }

  #host (): Hosted {
    const session = new Hosted(this, `id${this.hosted.length}`, this.dice.below(4) === 0 ? 150 : 5000)
    this.hosted.push(session)
    return session
  }

  /** Somebody has copied what the client has said, and comes with it. */
  #steal (): void {
    const claim = this.#lastClaim
    if (claim === null) return
    this.#stolen = true
    this.happened.stolen++
    const wire = this.#accept(claim, null, (frame) => { if (decode(frame).kind === 'hello') { wire.up.send(`\0a${claim.received}`); wire.up.send('evil') } }, () => {})
    this.time.after(this.dice.below(400), () => { wire.lost(1006) })
  }

  play (): string[] {
    const { time, dice } = this
    const client = this.#client
    client.connect()
    const later = (until: number, every: number, what: () => void): void => {
      for (let at = dice.below(every); at < until; at += 1 + dice.below(2 * every)) time.at(at, what)
    }
    later(TROUBLE + 500, 60, () => { client.send() })
    later(TROUBLE + 500, 60, () => { for (const session of this.hosted) session.push() })
    // The page reconnects by itself: it says so, or not a word.
    later(TROUBLE, 900, () => { client.connect(dice.below(2) === 0 ? null : 1005) })
    if (dice.below(6) === 0) time.at(dice.below(TROUBLE), () => { this.#steal() })
    time.at(TROUBLE, () => { this.#peace = true })
    // A wire that was about to be cut lives on; one that is open and dead is found by the client's own watch.
    time.at(TROUBLE + DETECTION + 500, () => { client.connect() })
    time.run(TROUBLE + PEACE)
    this.#check()
    return this.violations
  }

  #check (): void {
    const client = this.#client
    for (const [hash, { id, protocol }] of this.sessions) if (protocol.ended) this.violated(`leak: ${hash} is known still, and ${id} is over`)
    if (this.sessions.size > 9 * this.hosted.length) this.violated(`leak: ${this.sessions.size} tokens of ${this.hosted.length} sessions`)
    if (!client.attached) this.violated('lock-out: the client has no wire in the end')
    const segments = client.segments
    for (const [index, { id, got }] of segments.entries()) {
      const { pushed, protocol } = this.hosted.find((session) => session.id === id)!
      const wrong = got.findIndex((message, i) => message !== pushed[i])
      if (wrong >= 0) this.violated(`order: of ${id} the client has ${JSON.stringify(got[wrong])} in the place of ${JSON.stringify(pushed[wrong])}`)
      if (index === segments.length - 1 && client.attached && !protocol.ended && got.length !== pushed.length) this.violated(`lost: of ${pushed.length} of ${id} the client has ${got.length}`)
    }
    for (const { text, fate } of client.sent) {
      const handled = this.#handled.has(text)
      if (fate === 'taken' && !handled) this.violated(`lost: ${JSON.stringify(text)} was said to be taken, and was not`)
      if (fate === 'waits') this.violated(`lost: ${JSON.stringify(text)} waits for ever`)
    }
    for (const { handled } of this.hosted) {
      const numbers = handled.flatMap((text) => { const [, number] = /^\0?c(\d+)$/.exec(text) ?? []; return number === undefined ? [] : [Number(number)] })
      if (numbers.some((number, i) => i > 0 && number <= numbers[i - 1]!)) this.violated('order: the client\'s messages have come in another')
      const known = new Set(client.sent.map(({ text }) => text))
      for (const text of handled) if (!known.has(text) && text !== 'evil') this.violated(`changed: ${JSON.stringify(text)} was never sent`)
    }
  }
}
