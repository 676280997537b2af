/**
 * Puts a lifeline together: what its connections share, who counts and tells, and what the app holds of it.
 */
import type { FastifyRequest } from 'fastify'
import { Budget } from '../core/backpressure.js'
import type { Limits } from '../core/backpressure.js'
import { Groups } from '../core/groups.js'
import { Heartbeat } from '../core/heartbeat.js'
import { Registry } from '../core/registry.js'
import type { Wheel } from '../core/time/wheel.js'
import { Awaited } from '../life/awaited.js'
import type { House } from '../life/house.js'
import { Journal } from '../life/journal.js'
import type { Log } from '../observe/log.js'
import { Tally } from '../observe/tally.js'
import { lifeOf } from './connection.js'
import type { Connection } from './connection.js'
import { call } from './call.js'
import { Lifeline } from './lifeline.js'

export interface AssembleOptions {
  readonly wheel: Wheel
  readonly log: Log
  readonly limits: Limits
  /** Bytes that may wait for all connections together. */
  readonly total: number
  /** How long a closing handshake may take, in ms. */
  readonly closeTimeout: number
  /** Of the heartbeat, in ms: for `sweep` where it is switched off, and the bound. */
  readonly timeout: number
  readonly bound: () => number
  /** Whether there is a heartbeat on any route. */
  readonly beats: () => boolean
  /** The name of the route of a request, if that takes no WebSockets; else null. May throw for what is no request. */
  readonly plain: (request: FastifyRequest) => string | null
  /** What the app shows of the data that it keeps on a connection; null: nothing. */
  readonly serializeData: ((data: unknown) => unknown) | null
}

const listenerOf = (connection: Connection | undefined, event: string): unknown =>
  connection === undefined ? undefined : lifeOf(connection).run.call.on?.[event]

export function assemble ({ wheel, log, limits, total, closeTimeout, timeout, bound, beats, plain, serializeData }: AssembleOptions): { lifeline: Lifeline, house: House<Connection> } {
  const tally = new Tally()
  const journal = new Journal<Connection>(tally, log, {
    tell: (event, ...args) => {
      lifeline.emit(event, ...args)
      const listener = listenerOf(args[0], event)
      if (typeof listener !== 'function') return
      const done = call(listener, lifeline, args, (error) => { log.listenerThrew(event, error) })
      if (event === 'close') house.awaited.add(done)
    },
    listens: (event, subject) => lifeline.listenerCount(event) > 0 || listenerOf(subject, event) !== undefined
  })
  const registry = new Registry<Connection>()
  const house: House<Connection> = {
    wheel,
    registry,
    heartbeat: new Heartbeat(wheel, limits.stallTimeout, journal),
    groups: new Groups<Connection>(),
    budget: new Budget(total, () => Array.from(registry.values(), lifeOf)),
    limits,
    closeTimeout,
    journal,
    awaited: new Awaited(),
    serializeData
  }
  const lifeline: Lifeline = new Lifeline({ house, tally, log, timeout, plain, get bound () { return bound() }, get beats () { return beats() } })
  return { lifeline, house }
}
