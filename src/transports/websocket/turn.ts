/**
 * Turns of the event loop, and who has something to do at their end. One for the whole process: at most
 * one callback is scheduled, however many wait.
 */

export interface TurnEnd {
  turnEnded (): void
}

export class Turn {
  readonly #schedule: (end: () => void) => void
  #members: TurnEnd[] = []
  #number = 0
  #armed = false

  constructor (schedule: (end: () => void) => void) {
    this.#schedule = schedule
  }

  /** Another number in each turn. */
  get number (): number {
    this.#arm()
    return this.#number
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
    this.#number++
    const members = this.#members
    if (members.length === 0) return
    this.#members = []
    for (const member of members) member.turnEnded()
  }
}

/** One call from the event loop into JavaScript, such as a message that came. */
export const tick = new Turn((end) => { process.nextTick(end) })

/** One turn of the loop: all that has come by now, from everybody. */
export const turn = new Turn((end) => { setImmediate(end) })
