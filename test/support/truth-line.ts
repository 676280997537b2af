/**
 * One connection, its peer, and what has been said of its messages, held against what the peer has seen.
 * The promises that are checked here are those of docs/receipts.md, at the moment when something is said and at the end.
 */
import assert from 'node:assert/strict'
import { setImmediate as turnOver } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { CloseInfo, Connection, PushResult } from '../../src/index.js'
import { makeNamed, numberOf, SlowBlob, UnreadableBlob } from './truth-bodies.js'
import type { Named } from './truth-bodies.js'
import type { Peer } from './truth-peer.js'
import type { Body, End, Reader } from './truth-steps.js'
import { socketOf } from './wire-server.js'

/** A message that was taken. */
interface Said {
  number: number
  by: 'push' | 'send'
  bytes: Buffer
  binary: boolean
  /** Which of the pushed ones it was, from 1; 0 of what the app gave to ws itself. */
  seq: number
  /** Somebody waits for it, or did: then it is not among the unconfirmed. */
  answered: boolean
}

/** What the lines of one server share. */
export interface Ground {
  readonly app: FastifyInstance
  /** Whose push was refused since it was cleared. */
  readonly refused: Set<Connection | undefined>
  /** What is written in a turn has left in that turn: what is not in `unconfirmed` can be told exactly. */
  readonly exact: boolean
  /** The number of the next message, on whatever line. */
  next (): number
}

/** Nobody waits longer for anything that has to come; in ms. The end of a run that would hang, no measure of speed. */
const PATIENCE = 5_000
/** What a peer may send altogether, in bytes: more than our own reader's mark, less than where reading on ends. */
const TALK_MAX = 700_000

const word = (length: number): Body => ({ as: 'string', length, then: 'none', binary: undefined })
const isBytes = ({ as }: Body): boolean => as !== 'string'

export class Line {
  readonly connection: Connection
  readonly peer: Peer
  readonly #ground: Ground
  readonly #socket: WebSocket
  readonly #keeps: boolean
  readonly #said = new Map<number, Said>()
  readonly #refused = new Set<number>()
  /** What the server heard last; 1006 if that was no close frame. */
  #lastWord = 0
  #seq = 0
  #empties = 0
  /** Up to there the plugin said that all was delivered. */
  #delivered = 0
  #talked = 0
  #message: { number: number, binary: boolean, parts: Buffer[] } | null = null
  #ending = false
  readonly #reader: Reader
  /** A Blob was sent, or the peer was let read late: not all that follows is exact. */
  #vague = false
  #deaf = false
  readonly #pending = new Map<Promise<unknown>, string>()
  readonly #faults: unknown[] = []

  constructor (ground: Ground, connection: Connection, peer: Peer, keeps: boolean, reader: Reader) {
    this.#ground = ground
    this.connection = connection
    this.peer = peer
    this.#keeps = keeps
    this.#reader = reader
    this.#socket = socketOf(connection)
    this.#socket.on('close', (code) => { this.#lastWord = code })
    this.#read()
  }

  get open (): boolean { return this.connection.state === 'open' }

  // What the app pushes.

  push (body: Body, by: 'connection' | 'lifeline' | 'safePush'): void {
    const { app } = this.#ground
    const { connection } = this
    this.#call(body, (data, options) => {
      switch (by) {
        case 'connection': return connection.push(data, options)
        case 'lifeline': return app.lifeline.push(connection.fd, data, options)
        case 'safePush': return app.safePush(connection.fd, data, options)
      }
    })
  }

  #call (body: Body, push: (data: unknown, options: { binary?: boolean }) => PushResult | boolean): void {
    const number = this.#ground.next()
    const named = makeNamed(number, body)
    const { open } = this
    const result = push(named.data, optionsOf(body))
    const taken = result === true || result === 'sent' || result === 'buffered'
    if (typeof result === 'string') assert.ok((open ? ['sent', 'buffered', 'full'] : ['gone']).includes(result), `${result} said of message ${number}, on a connection that is ${open ? '' : 'not '}open`)
    else assert.ok(open || !taken)
    this.pushed(number, named.bytes, binaryOf(body), taken)
    named.betray()
  }

  /** A message was pushed, by itself or to many. */
  pushed (number: number, bytes: Buffer, binary: boolean, taken: boolean, answered = false): Said | null {
    if (!taken) {
      this.#refused.add(number)
      return null
    }
    const said: Said = { number, by: 'push', bytes, binary, seq: ++this.#seq, answered }
    this.#said.set(number, said)
    return said
  }

  flood (size: number, times: number): void {
    for (let i = 0; i < times; i++) this.push({ as: 'Buffer', length: size, then: 'overwritten', binary: undefined }, 'connection')
  }

  /** Pushes what does something else before it tells what it is. */
  reenter (what: 'push' | 'send' | 'fragment' | 'close'): void {
    const number = this.#ground.next()
    const { open } = this
    const inner = (): string => {
      switch (what) {
        case 'push': this.push(word(10), 'connection'); break
        case 'send': this.send(word(10), 'no', undefined, 'no'); break
        case 'fragment': this.fragment(word(10), 'no', false); break
        case 'close': this.end('connection.close')
      }
      return `${number};`
    }
    const result = this.connection.push({ toJSON: inner })
    if (!open) assert.equal(result, 'gone')
    this.pushed(number, Buffer.from(`"${number};"`), false, result === 'sent' || result === 'buffered')
  }

  invalid (what: number): void {
    const values: unknown[] = [undefined, Promise.resolve(1), new Blob(['x']), { toJSON () { throw new Error('no JSON') } }, 1n]
    assert.equal(this.connection.push(values[what]), this.open ? 'invalid' : 'gone')
  }

  deliver (body: Body, timeout?: number, abort?: 'before' | 'after'): Promise<string> {
    const number = this.#ground.next()
    const named = makeNamed(number, body)
    const reason = new Error(`nobody waits for ${number}`)
    const controller = new AbortController()
    if (abort === 'before') controller.abort(reason)
    const before = this.#taken
    const delivery = this.connection.deliver(named.data, {
      ...optionsOf(body),
      ...(timeout !== undefined && { timeout }),
      ...(abort !== undefined && { signal: controller.signal })
    })
    const taken = this.#taken > before
    const said = this.pushed(number, named.bytes, binaryOf(body), taken, true)
    named.betray()
    if (abort === 'after') setImmediate(() => { controller.abort(reason) })
    const checked = delivery.then(({ outcome }) => {
      switch (outcome) {
        case 'delivered':
          assert.ok(said !== null, `message ${number} was delivered, and never taken`)
          this.#delivered = Math.max(this.#delivered, said.seq)
          assert.ok(this.#proves(number), `message ${number} is said to be delivered, ${this.#has(number) ? 'and its receipt was never given' : 'and never came'}`)
          break
        case 'gone':
          this.#refused.add(number)
          break
        case 'full':
        case 'invalid':
          assert.ok(outcome === 'full' && said === null, `message ${number} was taken, and is ${outcome}`)
          break
        case 'timeout':
        case 'unconfirmed':
          assert.ok(said !== null, `message ${number} was never taken, and is ${outcome}`)
      }
      return outcome
    }, (error: unknown) => {
      assert.equal(error, reason)
      assert.notEqual(abort, undefined)
      return 'aborted'
    })
    this.#watch(`the delivery of message ${number}`, checked)
    return checked
  }

  get #taken (): number {
    const { sent, buffered } = this.#ground.app.lifeline.stats().pushes
    return sent + buffered
  }

  // What the app gives to ws.

  send (body: Body, blob: 'no' | 'blob' | 'slow', compress: boolean | undefined, waits: 'no' | 'ends' | 'delivers'): void {
    this.finish()
    const number = this.#ground.next()
    const named = makeNamed(number, body)
    const options = { ...optionsOf(body), ...(compress !== undefined && { compress }) }
    const { open } = this
    const data = this.#wrapped(named, blob)
    if (waits === 'no') this.#socket.send(data, options)
    else this.#watch(`the callback of message ${number}`, this.#called((done) => { this.#socket.send(data, options, done) }, waits))
    if (!open) return
    const binary = body.binary ?? (isBytes(body) || blob !== 'no')
    this.#said.set(number, { number, by: 'send', bytes: named.bytes, binary, seq: 0, answered: false })
  }

  /** Waits for the callback of a send, in which the app may do more. */
  #called (send: (done: () => void) => void, waits: 'ends' | 'delivers'): Promise<void> {
    return new Promise((resolve) => {
      send(() => {
        if (waits === 'delivers') this.deliver(word(10)).catch(() => {})
        resolve()
      })
    })
  }

  fragment (body: Body, blob: 'no' | 'blob' | 'slow', last: boolean): void {
    if (!this.open) return
    const message = this.#message ??= { number: this.#ground.next(), binary: binaryOf(body), parts: [] }
    const named = makeNamed(message.number, body)
    this.#socket.send(this.#wrapped(named, blob), { binary: message.binary, fin: last })
    message.parts.push(named.bytes)
    if (!last) return
    const { number, binary, parts } = message
    this.#said.set(number, { number, by: 'send', bytes: Buffer.concat(parts), binary, seq: 0, answered: false })
    this.#message = null
  }

  /** Between two fragments an app may send nothing but fragments. */
  finish (): void {
    if (this.#message !== null) this.fragment(word(0), 'no', true)
  }

  empty (): void {
    this.finish()
    this.#vague = true
    if (this.open) this.#empties++
    this.#socket.send(new Blob([]) as never)
  }

  /** That is the end of the connection. */
  unreadable (waits: 'ends' | 'delivers'): void {
    this.finish()
    this.#vague = this.#ending = true
    this.#watch('the callback of an unreadable Blob', this.#called((done) => { this.#socket.send(new UnreadableBlob(['unreadable']) as never, done) }, waits))
  }

  #wrapped ({ data }: Named, blob: 'no' | 'blob' | 'slow'): never {
    if (blob === 'no') return data as never
    this.#vague = true
    return new (blob === 'slow' ? SlowBlob : Blob)([data as string]) as never
  }

  control (kind: 'ping' | 'pong', text: string): void { this.#socket[kind](text) }

  // What the app waits for.

  ask (): void {
    this.#watch('connection.ping()', this.connection.ping().then((roundTrip) => {
      if (roundTrip === Infinity) assert.ok(!this.open, 'no answer to a ping, and the connection is open')
    }))
  }

  drained (): void {
    this.#watch('connection.drained()', (this.connection.drained() as Promise<unknown>).then((room) => {
      if (room === false) assert.ok(!this.open, 'drained() is false, and the connection is open')
    }))
  }

  reading (on: boolean, by: 'connection' | 'socket'): void {
    if (by === 'connection') this.connection[on ? 'resumeReading' : 'pauseReading']()
    else if (this.open) this.#socket[on ? 'resume' : 'pause']()
  }

  #read (): void {
    const loop = async (work: () => Promise<unknown>): Promise<void> => {
      const messages = this.connection.messages()
      while ((await messages.next()).done !== true) await work()
    }
    switch (this.#reader) {
      case 'nobody': break
      case 'listener': this.#socket.on('message', () => {}); break
      case 'turns': this.#watch('the reader', loop(() => turnOver())); break
      case 'delivers': this.#watch('the reader', loop(() => this.deliver(word(10)))); break
      case 'drains': this.#watch('the reader', loop(() => {
        this.push(word(10), 'connection')
        return this.connection.drained()
      }))
    }
  }

  // What the peer does.

  reads (on: boolean): void {
    if (on) {
      this.peer.client.socket.resume()
    } else {
      this.#deaf = true
      this.peer.client.socket.pause()
    }
  }

  talk (size: number, times: number): void {
    this.#talked += size * times
    if (this.#talked <= TALK_MAX) this.peer.talk(size, times)
  }

  end (how: Exclude<End, 'calm server' | 'calm client'>): void {
    this.#ending = true
    const { connection, peer } = this
    const { socket } = peer.client
    switch (how) {
      case 'connection.close': connection.close(); break
      case 'socket.close': this.#socket.close(); break
      case 'connection.terminate': connection.terminate(); break
      case 'socket.terminate': this.#socket.terminate(); break
      case 'client closes': peer.close(); break
      case 'client ends': socket.end(); break
      case 'client resets': socket.destroy(); break
      case 'client is silent':
        this.reads(false)
        peer.answers('never')
        connection.close()
    }
  }

  /** All has been done: whoever waits gets an answer, and the line comes to its end. */
  async over (how: End): Promise<void> {
    const calm = how === 'calm server' || how === 'calm client'
    const complete = calm && !this.#ending ? await this.#calm() : 0
    const dead = !this.#ending && !this.open
    if (!this.#ending) this.end(how === 'calm server' ? 'connection.close' : how === 'calm client' ? 'client closes' : how)
    const { connection, peer, peer: { client } } = this
    if (how !== 'client is silent') client.socket.resume()
    // A peer that has left is not noticed by whom nobody lets read.
    connection.resumeReading()
    if (this.open) this.#socket.resume()
    const info = await within(connection.closed, 'the connection is never closed')
    client.socket.resume()
    await within(client.until(() => false), 'the peer never hears of the end')
    await this.#settled(() => true)
    await turnOver()
    if (this.#faults.length > 0) throw this.#faults[0]
    if (client.fault !== null) throw client.fault
    assert.equal(connection.bufferedBytes, 0)
    assert.ok(!dead || ((this.#deaf || !peer.prompt) && info.cause === 'heartbeat'), `nobody has ended it, and the peer lives: ${info.cause}`)
    assert.ok(info.cause !== 'protocol' && info.cause !== 'limit', `the peer has done nothing wrong: ${info.cause}`)
    this.#verify(info, complete)
  }

  /** The peer takes and answers all, and so far nobody has ended anything: then everything has to arrive. @returns up to which message; 0: none */
  async #calm (): Promise<number> {
    this.finish()
    this.peer.client.socket.resume()
    if (this.peer.mute) return 0
    this.peer.answers('prompt')
    this.peer.answerNow()
    let last = 'full'
    let number = 0
    let seq = 0
    while (last === 'full') {
      await within(this.connection.drained(), 'drained() at the end')
      const delivery = this.deliver(word(10))
      number = Math.max(...this.#said.keys())
      seq = this.#seq
      last = await within(delivery, 'the last delivery')
    }
    await this.#settled((what) => what !== 'the reader')
    const { count } = this.connection.unconfirmed
    if (!this.open) return 0
    assert.equal(last, 'delivered')
    // What a reader or a callback has pushed since may be on its way.
    assert.ok(count <= this.#seq - seq, `${count} are unconfirmed`)
    return number
  }

  #watch (what: string, promise: Promise<unknown>): void {
    const watched = promise.then(() => {}, (error: unknown) => { this.#faults.push(error) }).finally(() => { this.#pending.delete(watched) })
    this.#pending.set(watched, what)
  }

  async #settled (which: (what: string) => boolean): Promise<void> {
    for (;;) {
      const [next] = [...this.#pending].filter(([, what]) => which(what))
      if (next === undefined) return
      await within(next[0], next[1])
    }
  }

  // What the peer has seen.

  #messages (): Buffer[] {
    return this.peer.client.received.filter(({ kind }) => kind === 'text' || kind === 'binary').map(({ data }) => data)
  }

  #has (number: number): boolean { return this.#messages().some((data) => plainNumber(data) === number) }

  /** Whether the peer had it before a ping that it has answered. */
  #proves (number: number): boolean {
    return this.peer.client.received.slice(0, this.peer.proved).some(({ kind, data }) => (kind === 'text' || kind === 'binary') && plainNumber(data) === number)
  }

  #verify (info: CloseInfo, complete: number): void {
    const proved = new Set<number>()
    const came = new Set<number>()
    const last = { push: 0, send: 0 }
    let empties = 0
    const order = [...this.#said.keys()]
    for (const [i, { kind, data }] of this.peer.client.received.entries()) {
      if (kind !== 'text' && kind !== 'binary') continue
      if (data.length === 0) {
        empties++
        continue
      }
      const number = plainNumber(data)
      const said = this.#said.get(number)
      assert.ok(!this.#refused.has(number), `message ${number} was refused, and came`)
      assert.ok(said !== undefined, `nobody has sent what came: ${kind} ${data.toString('latin1', 0, 40)}`)
      assert.ok(data.equals(said.bytes), `message ${number} of ${said.bytes.length} bytes is not what was ${said.by === 'push' ? 'pushed' : 'sent'}: ${data.length} bytes, ${data.toString('latin1', 0, 40)}`)
      assert.equal(kind, said.binary ? 'binary' : 'text')
      assert.ok(!came.has(number), `message ${number} came twice`)
      const at = order.indexOf(number)
      assert.ok(at >= last[said.by], `message ${number} was overtaken`)
      last[said.by] = at
      came.add(number)
      if (i < this.peer.proved) proved.add(number)
    }
    assert.ok(empties <= this.#empties)
    if (complete > 0) {
      assert.deepEqual(order.filter((number) => number <= complete && !came.has(number)), [], 'messages were lost')
      assert.equal(empties, this.#empties)
    }
    this.#verifyUnconfirmed(info, proved, complete)
  }

  #verifyUnconfirmed ({ unconfirmed }: CloseInfo, proved: ReadonlySet<number>, complete: number): void {
    const pushed = [...this.#said.values()].filter(({ by, answered }) => by === 'push' && !answered)
    let before = 0
    for (const { seq, data, binary } of unconfirmed) {
      const said = pushed.find((one) => one.seq === seq)
      assert.ok(said !== undefined, `unconfirmed has a number ${seq} that no push had`)
      assert.ok(seq > before, 'unconfirmed is not in order')
      assert.deepEqual([Buffer.from(data).equals(said.bytes), binary], [true, said.binary], `unconfirmed has another message ${said.number} than was pushed`)
      assert.ok(seq > this.#delivered, `message ${said.number} is unconfirmed, and a later one was delivered`)
      before = seq
    }
    const seqs = new Set(unconfirmed.map(({ seq }) => seq))
    if (!this.#keeps) {
      assert.equal(seqs.size, 0)
      return
    }
    for (const { number, seq } of pushed) {
      assert.ok(proved.has(number) || seqs.has(seq), `message ${number} was never confirmed, and is not among the unconfirmed`)
    }
    assert.deepEqual(pushed.filter(({ number, seq }) => number <= complete && seqs.has(seq)), [], 'unconfirmed has what was delivered')
    // All pongs were read: they came before the peer's close frame.
    if (!this.#ground.exact || this.#vague || !this.peer.prompt || this.#lastWord === 1006) return
    const confirmed = Math.max(0, ...[...this.#said.values()].filter(({ number }) => proved.has(number)).map(({ seq }) => seq))
    assert.deepEqual([...seqs].filter((seq) => seq <= confirmed), [], 'unconfirmed has what was confirmed')
  }
}

/** A JSON text has its quote before the number. */
const plainNumber = (data: Buffer): number => numberOf(data[0] === 0x22 ? data.subarray(1) : data)

const optionsOf = ({ binary }: Body): { binary?: boolean } => binary === undefined ? {} : { binary }

export const binaryOf = (body: Body): boolean => body.binary ?? isBytes(body)

async function within<T> (promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => { reject(new Error(`${what}: nothing for ${PATIENCE} ms`)) }, PATIENCE)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
