/**
 * The event loop: its ticks and its turns, who has something to do at their end, and who is told of something in a later one.
 * Invariant: one callback of each kind is scheduled for the whole process, however many wait; and what one of them throws
 * keeps nobody from theirs.
 */
export interface TurnEnd {
  turnEnded (): void
}

/**
 * Calls all, whatever they throw, and throws that when all were called. It is not reported: what an app's listeners throw is caught
 * where they are called, so this is a fault of ours, or of a callback that Node.js itself would not guard. It ends the process, as
 * any error that nobody catches; but where an app survives those, nobody else's messages have been left lying.
 */
function callAll<T> (all: readonly T[], call: (one: T) => void): void {
  let errors: unknown[] | null = null
  for (const one of all) {
    try {
      call(one)
    } catch (error) {
      (errors ??= []).push(error)
    }
  }
  if (errors === null) return
  throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'more than one has failed in a turn of the event loop')
}

const endTurn = (member: TurnEnd): void => { member.turnEnded() }
const call = (callback: () => void): void => { callback() }

export class Turn {
  readonly #schedule: (end: () => void) => void
  #members: TurnEnd[] = []
  #number = 0
  /** -1 until somebody asks. */
  #at = -1
  #armed = false

  constructor (schedule: (end: () => void) => void) {
    this.#schedule = schedule
  }

  /** Another number in each turn. */
  get number (): number {
    this.#arm()
    return this.#number
  }

  /** When somebody first asked in this turn, monotonic in ms: the clock costs as much as a message. */
  get at (): number {
    if (this.#at === -1) {
      this.#at = performance.now()
      this.#arm()
    }
    return this.#at
  }

  /** It is told once, at the end of this turn. */
  add (member: TurnEnd): void {
    this.#members.push(member)
    this.#arm()
  }

  #arm (): void {
    if (this.#armed) return
    this.#armed = true
    this.#schedule(this.#end)
  }

  readonly #end = (): void => {
    this.#armed = false
    this.#at = -1
    this.#number++
    const members = this.#members
    if (members.length === 0) return
    this.#members = []
    callAll(members, endTurn)
  }
}

/** One call from the event loop into JavaScript, such as a message that came. */
export const tick = new Turn((end) => { process.nextTick(end) })

/** One turn of the loop: all that has come by now, from everybody. */
export const turn = new Turn((end) => { setImmediate(end) })

// What is awaited and is known at once is told in a later turn: a loop that awaits it over and over must not keep timers and
// sockets from their turn.
let waiting: Array<() => void> = []

function tell (): void {
  const callbacks = waiting
  waiting = []
  callAll(callbacks, call)
}

/** Calls back when the loop has turned. */
export function later (callback: () => void): void {
  if (waiting.push(callback) === 1) setImmediate(tell)
}

/** Resolves when the loop has turned. */
export function nextTurn (): Promise<void> {
  return new Promise(later)
}
