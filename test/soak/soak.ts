/**
 * The soak: hundreds of clients under random faults, for as long as you like, while everybody is pushed to.
 * `npm run soak -- --minutes 30`. It fails on a crash, an error that nobody caught, a leak, a push that is said to be
 * taken by a connection known to be over, and a message that is torn, lost in between, doubled or out of order.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { TestContext } from 'node:test'
// @ts-expect-error: an example, in JavaScript
import { Gate } from '../../examples/playground/gate.js'
import { launch, withCalls } from '../support/remote.js'
import type { Launched } from '../support/remote.js'
import type { ClientsAccount, ClientsCalls } from './clients.js'
import type { SoakCalls } from './server.js'

type Remotely<T> = { [K in keyof T]: T[K] extends (...args: infer A) => infer R ? (...args: A) => Promise<Awaited<R>> : never }

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '1' }, clients: { type: 'string', default: '300' } } })
const minutes = Number(values.minutes)
const clients = Number(values.clients)
if (!(minutes > 0) || !Number.isInteger(clients) || clients < 10) throw new Error('usage: npm run soak -- --minutes N [--clients N, at least 10]')

const PROCESSES = 4

/** How much the heap may grow, at the same load: none. */
const GROWTH = 0.05

const cleanups: Array<() => unknown> = []
const t = { after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as unknown as TestContext
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url))

const launched = await launch(t, path('server.ts'), {})
const server = withCalls<Remotely<SoakCalls>>({}, launched.call)
const problems: string[] = []
let over = false
launched.exited.then((code) => { if (!over) problems.push(`the server process ended, with ${code}`) }, () => {})

const gate = new Gate(() => launched.ready.port)
const port = await gate.listen()
cleanups.push(() => { gate.close() })

interface Crowd { process: Launched, calls: Remotely<ClientsCalls>, received: number }

let started = 0
async function gather (): Promise<Crowd> {
  const process = await launch(t, path('clients.ts'), {}, [], [String(port), String(Math.ceil(clients / PROCESSES)), `c${++started}`])
  process.process.on('message', (message: { gate?: { name: string, act: 'reset' } }) => {
    if (message.gate !== undefined) gate.act('app', message.gate.name, message.gate.act)
  })
  return { process, calls: withCalls<Remotely<ClientsCalls>>({}, process.call), received: 0 }
}

const crowds = await Promise.all(Array.from({ length: PROCESSES }, gather))
let receivedByTheDead = 0

async function look (crowd: Crowd): Promise<ClientsAccount> {
  const account = await crowd.calls.account()
  crowd.received = account.received
  problems.push(...account.faults)
  return account
}

const pick = <T>(list: readonly T[]): T => list[Math.floor(Math.random() * list.length)]!

/** What happens to whole processes. */
const disasters = [
  async () => { await server.stall(500 + Math.random() * 2500) },
  async () => {
    launched.process.kill('SIGSTOP')
    await sleep(Math.random() * 6000)
    launched.process.kill('SIGCONT')
  },
  async () => {
    const { process: { process } } = pick(crowds)
    process.kill('SIGSTOP')
    await sleep(Math.random() * 8000)
    process.kill('SIGCONT')
  },
  async () => {
    const crowd = pick(crowds)
    await look(crowd)
    receivedByTheDead += crowd.received
    crowd.process.process.kill('SIGKILL')
    await crowd.process.exited
    crowds[crowds.indexOf(crowd)] = await gather()
  }
]

/** Everybody leaves; what the server holds then. */
async function empty (): Promise<number> {
  for (const crowd of crowds) {
    await look(crowd)
    receivedByTheDead += crowd.received
    await crowd.calls.rest()
    crowd.process.process.kill('SIGKILL')
    await crowd.process.exited
  }
  const deadline = performance.now() + 30_000
  while ((await server.account()).connections > 0) {
    if (performance.now() > deadline) {
      problems.push(`30 s after all have left there are connections: ${JSON.stringify(await server.list())}`)
      break
    }
    await sleep(100)
  }
  return await server.heap()
}

const samples: Array<{ at: number, resident: number, connections: number }> = []
const start = performance.now()
const passed = (): number => (performance.now() - start) / 60_000
// A process is warm when its code has been compiled, and its caches are full.
const warm = Math.max(minutes * 0.2, Math.min(2, minutes / 2))
let before: number | null = null
let nextDisaster = 20_000

console.log(`${clients} clients for ${minutes} minutes`)
while (passed() < minutes && problems.length === 0) {
  await sleep(1000)
  const { connections, resident } = await server.account()
  samples.push({ at: passed(), resident, connections })
  if (before === null && passed() >= warm) {
    before = await empty()
    crowds.splice(0, crowds.length, ...await Promise.all(Array.from({ length: PROCESSES }, gather)))
  }
  if (performance.now() - start > nextDisaster) {
    nextDisaster += 10_000 + Math.random() * 20_000
    await pick(disasters)()
    for (const crowd of crowds) await look(crowd)
  }
}

const after = problems.length === 0 ? await empty() : NaN
await server.rest()
const account = await server.account()
over = true
const received = receivedByTheDead

console.table({ ...account.closed, ...Object.fromEntries(Object.entries(account.limited).map(([name, times]) => [`(limit ${name})`, times])) })
console.log(`connections opened ${account.opened}, upgrades refused ${account.refused}`)
console.log(`pushes true ${account.pushes.true}, false ${account.pushes.false}; broadcasts ${account.broadcasts}; messages received ${received} (without those of the last moment of killed clients)`)
plot()
console.log(`heap after gc without machine code, nobody there: ${Math.round(before! / 1024)} KiB after ${warm.toFixed(1)} minutes, ${Math.round(after / 1024)} KiB at the end`)
if (after > before! * (1 + GROWTH)) problems.push(`the heap has grown by ${((after / before! - 1) * 100).toFixed(1)} %`)
if (account.lies > 0) problems.push(`${account.lies} times a connection known to be over was said to be there`)
problems.push(...account.uncaught)
if (account.pushes.true < 1000 || received < 1000) problems.push('hardly anything happened')
for (const problem of new Set(problems)) console.error(`FAILED: ${problem}`)
if (problems.length > 0) process.exitCode = 1
else console.log('nothing crashed, leaked, lied, was torn or out of order')
for (const cleanup of cleanups.toReversed()) await cleanup()

/** Resident memory over time, sixty columns. */
function plot (): void {
  const COLUMNS = 60
  const ROWS = 10
  const most = Math.max(...samples.map(({ resident }) => resident))
  const columns = Array.from({ length: COLUMNS }, (_, column) => {
    const part = samples.filter(({ at }) => Math.floor(at / passed() * COLUMNS) === column)
    return part.reduce((sum, { resident }) => sum + resident, 0) / part.length
  })
  console.log(`resident memory of the server, at most ${Math.round(most / 1024 / 1024)} MiB`)
  for (let row = ROWS; row > 0; row--) {
    console.log(`${String(Math.round(most / 1024 / 1024 * row / ROWS)).padStart(5)} |${columns.map((value) => value >= most * (row - 0.5) / ROWS ? '#' : ' ').join('')}`)
  }
  console.log(`      +${'-'.repeat(COLUMNS)} ${passed().toFixed(1)} minutes`)
}
