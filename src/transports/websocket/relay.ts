/**
 * Hands messages to ws, a little at a time, so that what waits is counted, and pings can go in between.
 * Invariant: ws has been given no more than HAND_OVER and one message that it has not written yet.
 */
import type WebSocket from 'ws'
import type { Outgoing } from '../../core/outgoing.js'
import { HAND_OVER } from './frame.js'
import type { Bare } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

export class RelayWriter implements Writer {
  completed = 0
  handed = 0
  queuedBytes = 0

  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #owner: WriterOwner
  #queue: Outgoing[] | null = null
  #held = false
  #taken: (() => void) | null = null

  constructor (socket: WebSocket, bare: Bare, owner: WriterOwner) {
    this.#socket = socket
    this.#bare = bare
    this.#owner = owner
  }

  send (message: Outgoing): boolean {
    if (this.#held || this.#queue !== null || this.#socket.bufferedAmount >= HAND_OVER) {
      (this.#queue ??= []).push(message)
      this.queuedBytes += message.size
      return false
    }
    this.#hand(message)
    return this.#socket.bufferedAmount === 0
  }

  ping (payload: Buffer): void {
    this.#bare.ping(this.#socket, payload)
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

  flush (): void {
    while (this.#queue !== null && !this.#held) this.#handFirst()
  }

  wake (): void {
    while (this.#queue !== null && !this.#held && this.#socket.readyState === this.#socket.OPEN && this.#socket.bufferedAmount < HAND_OVER) this.#handFirst()
  }

  discard (): void {
    this.#queue = null
    this.queuedBytes = 0
  }

  #handFirst (): void {
    const message = this.#queue!.shift()!
    if (this.#queue!.length === 0) this.#queue = null
    this.queuedBytes -= message.size
    this.#hand(message)
  }

  #hand ({ payload, binary, size }: Outgoing): void {
    this.#taken ??= () => {
      this.completed++
      this.wake()
      this.#owner.taken()
    }
    this.#bare.send(this.#socket, payload, { binary }, this.#taken)
    this.handed++
    this.#owner.passed(size)
  }
}
