import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Entry, Wheel } from '../../../../src/core/time/wheel.js'
import { Clock } from '../../clock.js'

class Waiter extends Entry {
  readonly #do: (waiter: Waiter) => void
  readonly turns: number[] = []
  readonly wheel: Wheel

  constructor (wheel: Wheel, act: (waiter: Waiter) => void = () => {}) {
    super()
    this.wheel = wheel
    this.#do = act
  }

  override due (): void {
    this.turns.push(this.wheel.slot)
    this.#do(this)
  }
}

const SLOT = 10

function setUp (t: import('node:test').TestContext): { wheel: Wheel, clock: Clock } {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now)
  t.after(() => { wheel.stop() })
  return { wheel, clock }
}

test('an entry is due in the turn it asked for, once', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 3)
  clock.pass(29)
  assert.deepEqual(waiter.turns, [])
  clock.pass(1)
  assert.deepEqual(waiter.turns, [3])
  clock.pass(600 * SLOT)
  assert.deepEqual(waiter.turns, [3])
})

test('the wheel turns while something waits, and only then', (t) => {
  const { wheel, clock } = setUp(t)
  assert.equal(wheel.running, false)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 2)
  assert.equal(wheel.running, true)
  clock.pass(100)
  assert.equal(wheel.running, false)
  assert.equal(wheel.slot, 2)
  wheel.wait(waiter, 1)
  assert.equal(wheel.running, true)
  clock.pass(SLOT)
  assert.deepEqual(waiter.turns, [2, 3])
})

test('a wheel whose last entry was cancelled stops at its next turn', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 5)
  wheel.cancel(waiter)
  wheel.cancel(waiter)
  clock.pass(SLOT)
  assert.equal(wheel.running, false)
  assert.deepEqual(waiter.turns, [])
})

test('waiting again moves an entry', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 2)
  wheel.wait(waiter, 5)
  clock.pass(100)
  assert.deepEqual(waiter.turns, [5])
})

test('an entry may wait again when it is due', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel, (self) => { if (self.turns.length < 4) wheel.wait(self, 2) })
  wheel.wait(waiter, 1)
  clock.pass(200)
  assert.deepEqual(waiter.turns, [1, 3, 5, 7])
})

test('an entry that waits for a whole round when it is due is not due twice in one turn', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel, (self) => { if (self.turns.length < 2) wheel.wait(self, 512) })
  wheel.wait(waiter, 1)
  clock.pass(SLOT)
  assert.deepEqual(waiter.turns, [1])
  clock.pass(512 * SLOT)
  assert.deepEqual(waiter.turns, [1, 513])
})

for (const turns of [511, 512, 513, 1024, 5000]) {
  test(`a wait of ${turns} turns, on a wheel of 512 slots, ends in that turn`, (t) => {
    const { wheel, clock } = setUp(t)
    const far = new Waiter(wheel)
    const near = new Waiter(wheel)
    wheel.wait(far, turns)
    wheel.wait(near, turns % 512 || 512)
    clock.pass(turns * SLOT - 1)
    assert.deepEqual(far.turns, [])
    clock.pass(1)
    assert.deepEqual(far.turns, [turns])
    assert.deepEqual(near.turns, [turns % 512 || 512])
  })
}

test('entries of one turn are due in the order in which they began to wait', (t) => {
  const { wheel, clock } = setUp(t)
  const order: number[] = []
  for (const number of [1, 2, 3]) wheel.wait(new Waiter(wheel, () => { order.push(number) }), 4)
  clock.pass(40)
  assert.deepEqual(order, [1, 2, 3])
})

test('an entry that another one cancels in the same turn is not due', (t) => {
  const { wheel, clock } = setUp(t)
  const second = new Waiter(wheel)
  const first = new Waiter(wheel, () => { wheel.cancel(second) })
  const third = new Waiter(wheel)
  for (const waiter of [first, second, third]) wheel.wait(waiter, 1)
  clock.pass(100)
  assert.deepEqual([first.turns, second.turns, third.turns], [[1], [], [1]])
  assert.equal(wheel.running, false)
})

test('an entry that another one lets wait longer, in the turn it is due, waits longer', (t) => {
  const { wheel, clock } = setUp(t)
  const second = new Waiter(wheel)
  const first = new Waiter(wheel, () => { wheel.wait(second, 3) })
  wheel.wait(first, 1)
  wheel.wait(second, 1)
  clock.pass(100)
  assert.deepEqual(second.turns, [4])
})

test('a late turn is one turn, is counted, and lets nothing come due early', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 10)
  clock.pass(20)
  clock.stall(60_000)
  assert.equal(wheel.slot, 3)
  assert.deepEqual([wheel.wasLate(2, 59_000), wheel.wasLate(2, 60_000), wheel.wasLate(3, 0)], [true, false, false])
  assert.equal(wheel.stalls, 1)
  assert.deepEqual(waiter.turns, [])
  clock.pass(6 * SLOT)
  assert.deepEqual(waiter.turns, [])
  clock.pass(SLOT)
  assert.deepEqual(waiter.turns, [10])
  assert.equal(wheel.stalls, 1)
})

test('a turn that is late by up to a slot is no stall, and makes up for it at once; what it makes up for is late', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 3)
  clock.stall(2 * SLOT)
  assert.deepEqual([wheel.slot, wheel.stalls, wheel.wasLate(0, 0), wheel.wasLate(0, 1)], [2, 0, true, false])
  clock.stall(SLOT)
  assert.equal(wheel.slot, 3)
  assert.equal(clock.ms, 3 * SLOT)
})

test('of late turns the latest that was as late as any after it is remembered', (t) => {
  const { wheel, clock } = setUp(t)
  wheel.wait(new Waiter(wheel), 1000)
  for (const late of [300, 50, 120, 40]) {
    clock.stall(late)
    clock.pass(SLOT)
  }
  const turns = Array.from({ length: wheel.slot }, (_, turn) => turn)
  const latest = (by: number): number => turns.findLastIndex((turn) => wheel.wasLate(turn, by))
  assert.deepEqual([latest(280), latest(300)], [0, -1])
  assert.ok(latest(100) > latest(200) && latest(20) > latest(100))
  for (let i = 0; i < 100; i++) clock.stall(1000 - 5 * i)
  assert.equal(wheel.wasLate(0, 980), false, 'what is remembered is bounded')
  assert.equal(wheel.wasLate(0, 500), true)
})

test('time that is lost is made up for where it is little', (t) => {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now, 100, 50)
  t.after(() => { wheel.stop() })
  wheel.wait(new Waiter(wheel), 1000)
  clock.stall(90)
  clock.pass(10, 1)
  assert.deepEqual([wheel.slot, wheel.stalls], [10, 1])
  clock.stall(200)
  clock.pass(10, 1)
  assert.deepEqual([wheel.slot, wheel.stalls], [12, 2])
})

test('a stop forgets all that waits, also from within a turn', (t) => {
  const { wheel, clock } = setUp(t)
  const others = [new Waiter(wheel), new Waiter(wheel)]
  wheel.wait(new Waiter(wheel, () => { wheel.stop() }), 1)
  wheel.wait(others[0]!, 1)
  wheel.wait(others[1]!, 7)
  clock.pass(1000)
  assert.deepEqual(others.map(({ turns }) => turns), [[], []])
  assert.equal(wheel.running, false)
  assert.equal(wheel.slot, 1)
})

test('a stopped wheel can be used again', (t) => {
  const { wheel, clock } = setUp(t)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 2)
  wheel.stop()
  wheel.wait(waiter, 1)
  clock.pass(SLOT)
  assert.deepEqual(waiter.turns, [1])
})

test('slots can be made shorter, and never longer', (t) => {
  const { wheel, clock } = setUp(t)
  wheel.refine(20)
  assert.equal(wheel.width, SLOT)
  wheel.refine(5)
  assert.equal(wheel.width, 5)
  const waiter = new Waiter(wheel)
  wheel.wait(waiter, 1)
  clock.pass(5, 5)
  assert.deepEqual(waiter.turns, [1])
})

for (const passed of [0, 3, 9]) {
  test(`${passed} ms into a slot they are made shorter while something waits: that comes due when it would have`, (t) => {
    const { wheel, clock } = setUp(t)
    const due: Array<[string, number]> = []
    class Timed extends Entry {
      readonly name: string
      times = 1
      constructor (name: string) {
        super()
        this.name = name
      }

      due (): void { due.push([this.name, clock.ms]) }
      override refined (times: number): void { this.times *= times }
    }
    const entries = ['one', 'three', 'a round and more'].map((name) => new Timed(name))
    ;[1, 3, 600].forEach((turns, i) => { wheel.wait(entries[i]!, turns) })
    if (passed > 0) clock.pass(passed, 1)
    wheel.refine(4)
    assert.equal(wheel.width, SLOT / 3)
    assert.deepEqual(entries.map(({ times }) => times), [3, 3, 3])
    const late = new Timed('late')
    wheel.wait(late, wheel.slots(7))
    clock.pass(600 * SLOT + SLOT, 1)
    // A timer is no finer than a millisecond.
    const at = (ms: number, want: number): void => { assert.ok(ms >= want - 0.001 && ms <= want + 1, `${ms} for ${want}`) }
    const times = Object.fromEntries(due)
    at(times.one!, SLOT)
    at(times.three!, 3 * SLOT)
    at(times['a round and more']!, 600 * SLOT)
    assert.ok(times.late! >= passed + 7 - 4 && times.late! <= passed + 7 + SLOT, `${times.late}`)
    assert.equal(due.length, 4)
    assert.equal(wheel.stalls, 0)
  })
}

test('they are made shorter in a turn, by what comes due in it: the others of that turn come all the same, and what waits then waits as long', (t) => {
  const { wheel, clock } = setUp(t)
  const due: string[] = []
  class Act extends Entry {
    readonly act: () => void
    constructor (act: () => void) {
      super()
      this.act = act
    }

    due (): void { this.act() }
  }
  const later = new Act(() => { due.push(`later ${clock.ms}`) })
  wheel.wait(new Act(() => {
    wheel.refine(SLOT / 2)
    wheel.wait(later, 1)
  }), 1)
  wheel.wait(new Act(() => { due.push(`with it ${clock.ms}`) }), 1)
  clock.pass(2 * SLOT, 5)
  assert.deepEqual(due, ['with it 10', 'later 15'])
})

test('turns last at least as long as asked, and there is always one', (t) => {
  const { wheel } = setUp(t)
  assert.deepEqual([0, 1, 10, 11, 20, 20.1].map((ms) => wheel.slots(ms)), [1, 1, 1, 2, 2, 3])
})

test('the timer does not keep the process alive, and the clock is monotonic by default', (t) => {
  const real = setTimeout
  const timers: NodeJS.Timeout[] = []
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => {
    const timer = real(callback, ms)
    timers.push(timer)
    return timer
  })
  const wheel = new Wheel(60_000)
  wheel.wait(new Waiter(wheel), 1)
  assert.equal(timers.length, 1)
  assert.equal(timers[0]!.hasRef(), false)
  wheel.stop()
})
