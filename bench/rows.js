/**
 * What is measured. A row starts a server and a client for each variant, measures one after the other,
 * round for round, and gives a figure for each; the goals are ratios of the design's section 6.
 */
import { startPair } from './process.js'

const all = ['ws', 'cork', 'socket.io', 'lifeline']

/** How long each variant is warmed up, in ms: what is compiled late would be measured with the rest. */
const WARM = 1_500

/** How much CPU time a measurement shall take, in ms: the faster a variant, the more messages. */
const ENOUGH = 200

/**
 * Rounds over all variants, one after the other, after a warm-up of each.
 * @param measure given a pair and how many messages to measure with, the cost of one in µs
 */
async function interleave (variants, rounds, setup, measure) {
  const pairs = []
  const samples = Object.fromEntries(variants.map((variant) => [variant, []]))
  const messages = {}
  try {
    for (const variant of variants) pairs.push(await startPair(variant, setup(variant)))
    for (const pair of pairs) {
      let cost = await measure(pair, 10_000)
      for (const end = Date.now() + WARM; Date.now() < end;) cost = await measure(pair, Math.ceil(ENOUGH * 1000 / cost))
      messages[pair.variant] = Math.ceil(ENOUGH * 1000 / cost)
    }
    // There and back, so that what drifts favours nobody.
    for (let i = 0; i < rounds; i++) for (const pair of i % 2 === 0 ? pairs : pairs.toReversed()) samples[pair.variant].push(await measure(pair, messages[pair.variant]))
  } finally {
    for (const pair of pairs) await pair.stop()
  }
  return samples
}

const suffix = (connections, usual) => connections === usual ? '' : `-${connections}`
const count = (connections) => connections.toLocaleString('en')

const push = (perTurn, goals, connections = 1, variants = all) => ({
  name: `push-${perTurn}${suffix(connections, 1)}`,
  title: `${count(perTurn)} pushes a turn to one connection${connections === 1 ? '' : ` of ${count(connections)}`}`,
  unit: 'µs CPU per message',
  goals,
  variants,
  run (rounds) { return interleave(this.variants, rounds, () => ({ connections }), ({ server }, messages) => server.call('push', { perTurn, turns: Math.ceil(messages / perTurn) })) }
})

const broadcast = (perTurn, goals, connections = 1000, variants = all) => ({
  name: `broadcast-${perTurn}${suffix(connections, 1000)}`,
  title: `${perTurn} a turn to ${count(connections)} connections`,
  unit: 'µs CPU per message',
  goals,
  variants,
  run (rounds) { return interleave(this.variants, rounds, () => ({ connections }), ({ server }, messages) => server.call('broadcast', { perTurn, turns: Math.ceil(messages / (perTurn * connections)) })) }
})

const echo = (goals, connections = 100, variants = all) => ({
  name: `echo${suffix(connections, 100)}`,
  title: `echo over ${count(connections)} connections`,
  unit: 'µs CPU per echo',
  goals,
  variants,
  run (rounds) {
    return interleave(this.variants, rounds, () => ({ connections, to: 'echo' }), async ({ variant, server, client }, wanted) => {
      const messages = Math.max(wanted, 4 * connections)
      const taken = client.once('taken')
      await server.call('begin')
      await client.call('echo', { messages, text: variant === 'socket.io' ? `42["m","${'x'.repeat(64)}"]` : 'x'.repeat(64) })
      await taken
      return await server.call('end') / messages
    })
  }
})

const lone = {
  name: 'lone',
  title: 'a lone push, time until it is with the kernel',
  unit: 'µs',
  goals: [['ws', 1.05]],
  variants: ['ws', 'lifeline'],
  async run (rounds) {
    const samples = await interleave(this.variants, rounds, () => ({ connections: 1 }), ({ server }) => server.call('lone', { times: 5_000 }))
    // That the bytes have left when the call returns is seen with the loop blocked behind it.
    for (const variant of this.variants) {
      const pair = await startPair(variant, { connections: 1 })
      await pair.client.call('watch')
      const { from, to } = await pair.server.call('block', { ms: 300 })
      const seen = await pair.client.call('seen')
      await pair.stop()
      if (!(seen >= from && seen < to)) throw new Error(`${variant}: a lone push did not leave at once`)
    }
    return samples
  }
}

const idle = (connections, rounds = null) => ({
  name: `idle${suffix(connections, 2000)}`,
  title: `an idle connection, of ${count(connections)}`,
  unit: 'bytes of heap (resident beside it)',
  goals: [['ws', 0.75]],
  variants: ['ws', 'socket.io', 'lifeline'],
  digits: 0,
  /** It differs little from one time to the next. */
  enough: 3,
  /** Each measurement has processes of its own. */
  single: true,
  async run (wanted) {
    const samples = Object.fromEntries(this.variants.map((variant) => [variant, []]))
    const resident = structuredClone(samples)
    for (let i = 0; i < (rounds ?? Math.min(wanted, this.enough)); i++) {
      for (const variant of this.variants) {
        const pair = await startPair(variant, { to: 'idle' })
        // What is made for the first connections only is not counted.
        await pair.open(200)
        await pair.client.call('close')
        const before = await pair.server.call('memory')
        await pair.open(connections)
        const after = await pair.server.call('memory')
        await pair.stop()
        samples[variant].push((after.heap - before.heap) / connections)
        resident[variant].push((after.rss - before.rss) / connections)
      }
    }
    return { ...samples, beside: resident }
  }
})

const heartbeat = (connections, goals) => ({
  name: `heartbeat${suffix(connections, 10_000)}`,
  title: `heartbeat over ${count(connections)} idle connections`,
  unit: 'µs CPU per ping and pong (longest turn in ms beside it)',
  goals,
  ...(connections === 10_000 && { besideGoal: ['longest turn, ms', 10] }),
  variants: ['ws', 'lifeline'],
  async run (wanted) {
    const interval = 4_000
    const samples = Object.fromEntries(this.variants.map((variant) => [variant, []]))
    const longest = structuredClone(samples)
    for (let i = 0; i < Math.ceil(wanted / 3); i++) {
      for (const variant of this.variants) {
        const pair = await startPair(variant, { connections, options: { interval } })
        for (let k = 0; k < 4; k++) {
          const { perPing, longest: turn } = await pair.server.call('heartbeat', { ms: interval })
          // The first interval is warm-up: accepting so many has left its traces.
          if (k === 0) continue
          samples[variant].push(perPing)
          longest[variant].push(turn)
        }
        const left = await pair.server.call('size')
        await pair.stop()
        if (left !== connections) throw new Error(`${variant}: ${connections - left} idle connections were lost`)
      }
    }
    return { ...samples, beside: longest }
  }
})

const calls = (connections, goals) => ({
  name: `calls${suffix(connections, 1000)}`,
  title: `exists(fd) of a live one, of a dead one, safePush to a dead one, beside ${count(connections)} connections`,
  unit: 'ns per call (bytes allocated beside it)',
  goals,
  variants: ['live', 'dead', 'push'],
  digits: 1,
  async run (rounds, variant = 'lifeline') {
    const pair = await startPair(variant, { connections })
    const samples = { live: [], dead: [], push: [] }
    const bytes = structuredClone(samples)
    for (let i = 0; i < rounds + 1; i++) {
      const figures = await pair.server.call('calls', { times: 5_000_000 })
      if (i === 0) continue
      for (const name of this.variants) {
        samples[name].push(figures[name].ns - figures.empty.ns)
        bytes[name].push(figures[name].bytes)
        if (figures[name].yes !== (name === 'live' ? 1 : 0)) throw new Error(`${name}: a wrong answer`)
      }
    }
    await pair.stop()
    return { ...samples, beside: bytes }
  }
})

const ACCEPTS = 1_000

/** Not with 10,000: each leaves a port of the client's behind for a minute, and there are 28,000. */
const accept = {
  name: 'accept',
  title: 'accepting a connection',
  unit: 'µs CPU per connection',
  goals: [],
  variants: ['ws', 'socket.io', 'lifeline'],
  digits: 0,
  run (rounds) {
    return interleave(this.variants, rounds, () => ({ to: 'idle' }), async ({ server, client, open }) => {
      await server.call('begin')
      await open(ACCEPTS)
      const spent = await server.call('end')
      await client.call('close')
      return spent / ACCEPTS
    })
  }
}

const SECONDS = 3

/** What is asked for by time: each message is followed by a ping of its own. */
const paced = {
  name: 'receipts-paced',
  title: 'a message a second to each of 1,000 connections, with and without receipts',
  unit: 'µs CPU per message',
  subject: 'receipts',
  goals: [],
  variants: ['lifeline', 'receipts'],
  run (rounds) {
    return interleave(this.variants, rounds, () => ({ connections: 1000 }), ({ server }) => server.call('paced', { seconds: SECONDS }))
  }
}

/** A row of which only the cost of receipts is of interest. */
const receipts = (row) => ({
  ...row,
  name: `receipts-${row.name}`,
  title: `${row.title}, with and without receipts`,
  subject: 'receipts',
  goals: [['lifeline', 1.3]]
})

export const rows = [
  push(10, [['ws', 0.35], ['cork', 1]]), push(200, [['ws', 0.12], ['cork', 1]]), push(2000, [['ws', 0.08], ['cork', 1]]),
  broadcast(1, [['ws', 0.85], ['socket.io', 0.65]]), broadcast(10, [['ws', 0.18]]), broadcast(200, [['ws', 0.04]]),
  echo([['ws', 0.95]]), lone, idle(2000), heartbeat(10_000, [['ws', 1.3]]), calls(1000, [['live', 30], ['dead', 30], ['push', 60]]), accept,
  ...[10, 200, 2000].map((perTurn) => receipts(push(perTurn, [], 1, ['lifeline', 'receipts']))),
  ...[1, 10, 200].map((perTurn) => receipts(broadcast(perTurn, [], 1000, ['lifeline', 'receipts']))),
  paced
]

/** The rows in which this revision is held against another. */
export const paired = rows.map((row) => {
  const { subject = 'lifeline' } = row
  if (row.variants.includes(subject)) return { ...row, goals: [], variants: [subject, `${subject}@that`] }
  // A row of several figures for one server: each is a row.
  return { ...row, figures: row.variants }
}).flatMap(({ figures, ...row }) => figures === undefined
  ? [row]
  : figures.map((figure) => ({
    ...row,
    name: `${row.name}-${figure}`,
    title: `${row.title}: ${figure}`,
    variants: ['lifeline', 'lifeline@that'],
    async run (rounds) {
      const samples = {}
      for (const variant of this.variants) samples[variant] = (await row.run(rounds, variant))[figure]
      return samples
    }
  })))

const MANY = 10_000
const growing = ['ws', 'lifeline']

/** How the rows grow with the connections. */
export const growth = [
  push(200, [], 1000, growing), push(200, [], MANY, growing),
  broadcast(1, [], MANY, growing), broadcast(10, [], MANY, growing), broadcast(200, [], MANY, growing),
  echo([], 1000, growing), echo([], MANY, growing),
  idle(1000, 1), idle(MANY, 1), heartbeat(1000, []), calls(MANY, [])
]
