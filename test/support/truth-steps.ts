/**
 * What an app and its peers may do to each other, as data that fast-check can make and make smaller.
 * Knows nothing of how it is played.
 */
import fc from 'fast-check'
import type { Shape } from './wire-payloads.js'

/** What the app does to its bytes as soon as the call that took them is back. */
export type Betrayal = 'none' | 'overwritten' | 'transferred' | 'emptied' | 'halved' | 'doubled'

export interface Body {
  as: Exclude<Shape, 'Blob'>
  length: number
  then: Betrayal
  binary: boolean | undefined
}

/** How a peer answers pings: at once, a little later, only the newest that it has, when it is told to, or not at all. */
export type Answers = 'prompt' | 'delayed' | 'newest' | 'late' | 'never'

/** How one connection ends when all has been done. `calm` ends come after everybody who waits has had an answer. */
export type End = 'calm server' | 'calm client' | 'connection.close' | 'socket.close' | 'connection.terminate' | 'socket.terminate' |
  'client closes' | 'client ends' | 'client resets' | 'client is silent'

/** Who reads on the server: nobody, a listener, or a loop that is slow, or waits for what it sends itself. */
export type Reader = 'nobody' | 'listener' | 'turns' | 'delivers' | 'drains'

/** Whether the app waits for the callback of a send, and what it does then. */
export type Waits = 'no' | 'ends' | 'delivers'

/** `to` is the number of a connection. */
export type Step = { to: number } & (
  | { do: 'push', body: Body, by: 'connection' | 'lifeline' | 'safePush' }
  | { do: 'broadcast', body: Body, group: boolean, except: boolean }
  | { do: 'deliver', body: Body, timeout: number | undefined, abort: 'before' | 'after' | undefined }
  | { do: 'flood', size: number, times: number }
  /** A push whose `toJSON` does something else first. */
  | { do: 'reenter', what: 'push' | 'send' | 'fragment' | 'close' }
  | { do: 'invalid', what: number }
  | { do: 'send', body: Body, blob: 'no' | 'blob' | 'slow', compress: boolean | undefined, waits: Waits }
  | { do: 'fragment', body: Body, blob: 'no' | 'blob' | 'slow', last: boolean }
  /** A Blob without a byte. */
  | { do: 'empty' }
  /** A Blob that cannot be read. */
  | { do: 'unreadable', waits: Exclude<Waits, 'no'> }
  | { do: 'control', kind: 'ping' | 'pong', text: string }
  | { do: 'ask' | 'drained' }
  | { do: 'reading', on: boolean, by: 'connection' | 'socket' }
  | { do: 'end', how: Exclude<End, 'calm server' | 'calm client'> }
  | { do: 'peer answers', how: Answers }
  | { do: 'peer answers now' }
  | { do: 'peer reads', on: boolean }
  | { do: 'peer talks', size: number, times: number }
  | { do: 'peer forges', what: 'noise' | 'empty' | 'again' }
  | { do: 'turn', how: 'microtask' | 'tick' | 'immediate' | 'while' }
)

export interface Scenario {
  lines: Array<{ route: '/off' | '/on' | '/short', reader: Reader, member: boolean, end: End }>
  steps: Step[]
}

const length = fc.oneof(
  { weight: 8, arbitrary: fc.nat(60) },
  { weight: 3, arbitrary: fc.constantFrom(124, 125, 126, 127, 128, 2000) },
  { weight: 2, arbitrary: fc.constantFrom(65_535, 65_536, 65_537, 70_000) },
  { weight: 1, arbitrary: fc.constantFrom(200_000, 600_000) }
)

const as = fc.constantFrom<Body['as']>('string', 'string', 'Buffer', 'Uint8Array', 'Uint8Array', 'Uint16Array', 'DataView', 'ArrayBuffer', 'ArrayBuffer', 'SharedArrayBuffer')
const maybe = <T> (arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 3 })
const binary = maybe(fc.boolean())
const body: fc.Arbitrary<Body> = fc.record({ as, length, then: fc.constantFrom<Betrayal>('none', 'overwritten', 'overwritten', 'transferred', 'emptied', 'halved', 'doubled'), binary })
/** What the app gives to ws itself it must leave alone, as ws has it by reference. */
const kept: fc.Arbitrary<Body> = fc.record({ as, length, then: fc.constant<Betrayal>('none'), binary })
const blob = fc.constantFrom('no' as const, 'no' as const, 'blob' as const, 'slow' as const)

const ends = fc.constantFrom<End>('calm server', 'calm server', 'calm client', 'calm client', 'connection.close', 'socket.close', 'connection.terminate', 'socket.terminate', 'client closes', 'client ends', 'client resets', 'client is silent')

function stepsFor (count: number): fc.Arbitrary<Step[]> {
  const to = fc.nat(count - 1)
  return fc.array(fc.oneof(
    { weight: 10, arbitrary: fc.record({ to, do: fc.constant('push' as const), body, by: fc.constantFrom('connection' as const, 'lifeline' as const, 'safePush' as const) }) },
    { weight: 5, arbitrary: fc.record({ to, do: fc.constant('broadcast' as const), body, group: fc.boolean(), except: fc.boolean() }) },
    { weight: 8, arbitrary: fc.record({ to, do: fc.constant('deliver' as const), body, timeout: maybe(fc.nat(15)), abort: fc.option(fc.constantFrom('before' as const, 'after' as const), { nil: undefined, freq: 6 }) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('flood' as const), size: fc.constantFrom(50, 20_000, 300_000), times: fc.constantFrom(10, 30, 60) }) },
    { weight: 2, arbitrary: fc.record({ to, do: fc.constant('reenter' as const), what: fc.constantFrom('push' as const, 'push' as const, 'send' as const, 'fragment' as const, 'close' as const) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('invalid' as const), what: fc.nat(4) }) },
    { weight: 5, arbitrary: fc.record({ to, do: fc.constant('send' as const), body: kept, blob, compress: maybe(fc.boolean()), waits: fc.constantFrom<Waits>('no', 'ends', 'delivers') }) },
    { weight: 6, arbitrary: fc.record({ to, do: fc.constant('fragment' as const), body: kept, blob, last: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('empty' as const) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('unreadable' as const), waits: fc.constantFrom('ends' as const, 'delivers' as const) }) },
    { weight: 2, arbitrary: fc.record({ to, do: fc.constant('control' as const), kind: fc.constantFrom('ping' as const, 'pong' as const), text: fc.constantFrom('', 'app', 'app 1234', `app${'é'.repeat(61)}`) }) },
    { weight: 3, arbitrary: fc.record({ to, do: fc.constantFrom('ask' as const, 'drained' as const) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('reading' as const), on: fc.boolean(), by: fc.constantFrom('connection' as const, 'socket' as const) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('end' as const), how: ends.filter((how) => !how.startsWith('calm')) as fc.Arbitrary<never> }) },
    { weight: 2, arbitrary: fc.record({ to, do: fc.constant('peer answers' as const), how: fc.constantFrom<Answers>('prompt', 'delayed', 'newest', 'late', 'late', 'never') }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('peer answers now' as const) }) },
    { weight: 3, arbitrary: fc.record({ to, do: fc.constant('peer reads' as const), on: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ to, do: fc.constant('peer talks' as const), size: fc.constantFrom(5, 1000, 65_000), times: fc.constantFrom(1, 2, 5) }) },
    { weight: 1, arbitrary: fc.record({ to, do: fc.constant('peer forges' as const), what: fc.constantFrom('noise' as const, 'empty' as const, 'again' as const) }) },
    { weight: 10, arbitrary: fc.record({ to, do: fc.constant('turn' as const), how: fc.constantFrom('microtask' as const, 'tick' as const, 'immediate' as const, 'immediate' as const, 'while' as const) }) }
  ), { maxLength: 40, size: 'max' })
}

export const scenarios: fc.Arbitrary<Scenario> = fc.integer({ min: 1, max: 2 }).chain((count) => fc.record({
  lines: fc.array(fc.record({
    route: fc.constantFrom('/off' as const, '/on' as const, '/on' as const, '/short' as const),
    reader: fc.constantFrom<Reader>('nobody', 'listener', 'turns', 'delivers', 'drains'),
    member: fc.boolean(),
    end: ends
  }), { minLength: count, maxLength: count }),
  steps: stepsFor(count)
}))
