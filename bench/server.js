/**
 * One server under measurement, in a process of its own, driven over IPC: it does the work and reads its
 * own CPU time, user and system, all threads, in µs.
 * Invariant: a measurement ends when the client has every message.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'

const TEXT = 'x'.repeat(64)
/** How many messages may be on their way: then the client is waited for, so that no buffer ever fills up. */
const AHEAD = { one: 5_000, many: 20_000 }

const { variant, options } = JSON.parse(process.argv[2])
const { serve } = await import(`./servers/${variant}.js`)
const server = await serve(options)

const cpu = (since) => {
  const { user, system } = process.cpuUsage(since)
  return user + system
}

/** Asks whoever drives us to let the client expect so many, and resolves when they have come. */
async function expecting (messages, work) {
  process.send({ event: 'expect', messages })
  await reply('expected')
  const taken = reply('taken')
  await work()
  await taken
}

const waiting = new Map()
const reply = (event) => new Promise((resolve) => { waiting.set(event, resolve) })

async function clean () {
  for (let i = 0; i < 3; i++) {
    global.gc()
    await sleep(10)
  }
}

async function burst (send, members, perTurn, turns, ahead) {
  const each = Math.max(1, Math.round(ahead / (members * perTurn)))
  for (let done = 0; done < turns; done += each) {
    const now = Math.min(each, turns - done)
    await expecting(now * perTurn * members, async () => {
      for (let i = 0; i < now; i++) {
        for (let k = 0; k < perTurn; k++) send(TEXT)
        await turn()
      }
    })
  }
}

function nsPerCall (call, times) {
  const start = process.hrtime.bigint()
  let yes = 0
  for (let i = 0; i < times; i++) if (call(i)) yes++
  return { ns: Number(process.hrtime.bigint() - start) / times, yes }
}

const commands = {
  /** In good order: a profile is written then. */
  async exit () { process.exit() },
  async size () { return server.size() },
  /** CPU per message, in µs. */
  async push ({ perTurn, turns }) {
    await clean()
    const before = process.cpuUsage()
    await burst(server.push, 1, perTurn, turns, AHEAD.one)
    return cpu(before) / (perTurn * turns)
  },
  async broadcast ({ perTurn, turns }) {
    await clean()
    const members = server.size()
    const before = process.cpuUsage()
    await burst(server.broadcast, members, perTurn, turns, AHEAD.many)
    return cpu(before) / (perTurn * turns * members)
  },
  /** CPU per message, in µs, of one to each in a second. */
  async paced ({ seconds }) {
    await clean()
    const members = server.size()
    const before = process.cpuUsage()
    await expecting(seconds * members, async () => {
      for (let i = 0; i < seconds; i++) {
        server.broadcast(TEXT)
        await sleep(1000)
      }
    })
    return cpu(before) / (seconds * members)
  },
  /** CPU while the driver does something: from `begin` to `end`. */
  async begin () {
    await clean()
    commands.before = process.cpuUsage()
  },
  async end () { return cpu(commands.before) },
  /** How long the call of a lone push takes, in µs, the median of many: the bytes are with the kernel when it returns. */
  async lone ({ times }) {
    await clean()
    const took = []
    for (let i = 0; i < times; i++) {
      const start = process.hrtime.bigint()
      server.push(TEXT)
      took.push(Number(process.hrtime.bigint() - start) / 1000)
      await turn()
      await turn()
    }
    return took.toSorted((a, b) => a - b)[times >> 1]
  },
  /** Pushes, then blocks the loop: between which moments, as times, the bytes must come if they left at once. */
  async block ({ ms }) {
    const from = Date.now()
    server.push(TEXT)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
    return { from, to: Date.now() }
  },
  /** Heap and all else that V8 accounts for, after a collection, and resident memory; in bytes. */
  async memory () {
    for (let i = 0; i < 5; i++) {
      await sleep(50)
      global.gc()
    }
    const { heapUsed, external, rss } = process.memoryUsage()
    return { heap: heapUsed + external, rss }
  },
  /** Pings sent, CPU, and the longest turn of the loop, over so many ms. */
  async heartbeat ({ ms }) {
    await clean()
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const pings = server.pings()
    const before = process.cpuUsage()
    await sleep(ms)
    const spent = cpu(before)
    delay.disable()
    return { pings: server.pings() - pings, perPing: spent / (server.pings() - pings), longest: delay.max / 1e6 }
  },
  /** ns per call, without those of an empty loop, and bytes allocated per call. */
  async calls ({ times }) {
    const live = server.fds()
    const dead = live.map((fd) => fd - 2_000_000)
    const calls = {
      empty: (i) => live[i & 511] === 0,
      live: (i) => server.exists(live[i & 511]),
      dead: (i) => server.exists(dead[i & 511]),
      push: (i) => server.safePush(dead[i & 511], TEXT)
    }
    const result = {}
    for (const [name, call] of Object.entries(calls)) {
      nsPerCall(call, times)
      await clean()
      const before = process.memoryUsage().heapUsed
      const { ns, yes } = nsPerCall(call, times)
      result[name] = { ns, bytes: Math.max(0, process.memoryUsage().heapUsed - before) / times, yes: yes / times }
    }
    return result
  }
}

process.on('message', ({ id, name, args, event }) => {
  if (event !== undefined) {
    waiting.get(event)?.()
    waiting.delete(event)
    return
  }
  commands[name](args ?? {}).then((value) => { process.send({ id, value }) }, (error) => { process.send({ id, error: error.stack }) })
})
process.on('disconnect', () => { process.exit() })
process.send({ event: 'ready', port: server.port, path: server.path, engine: server.engine === true })
