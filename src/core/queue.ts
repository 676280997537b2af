/**
 * First in, first out. Taking the first costs the same however many wait: `shift` of a long array does not.
 */
export class Queue<T> {
  #list: Array<T | undefined> = []
  /** Where the oldest is in the list. */
  #first = 0

  get length (): number { return this.#list.length - this.#first }

  get first (): T | undefined { return this.#list[this.#first] }

  push (one: T): void { this.#list.push(one) }

  shift (): T | undefined {
    if (this.length === 0) return undefined
    const one = this.#list[this.#first]
    this.#list[this.#first++] = undefined
    // What was taken in front is cut off when it is more than what is left: seldom enough.
    if (this.#first > this.#list.length / 2) {
      this.#list = this.#list.slice(this.#first)
      this.#first = 0
    }
    return one
  }
}
