/**
 * How often what is claimed with a figure is tried: a tenth of that by `npm test`, all of it by `npm run proof`; a
 * fiftieth on other versions of Node.js.
 * docs/reliability.md has a table of these claims, which is held against this one: what it says is what the proof runs.
 */
const full = process.env.PROOF === 'full'
const part = process.env.PROOF === 'some' ? 50 : 10

/** So many of that many tries are made now. Also for tests of many tries for which no figure is claimed. */
export function share (count: number): number {
  return full ? count : Math.ceil(count / part)
}

/** How long a test of many tries may take, in ms. @param ms that a tenth of them may take */
export function patience (ms: number): number {
  return full ? 10 * ms : ms
}

export const claims = {
  fuzz: { what: 'bytes on the wire, close codes, options, ids and fds', tries: 100_000 },
  receipts: { what: 'runs of the model of receipts: pushed, taken, read, answered, forged and cut off in any order', tries: 10_000 },
  model: { what: 'runs of the model of backpressure and groups, for each policy, with a total and without', tries: 10_000 },
  frozen: { what: 'client processes frozen right after a message', tries: 100 },
  truth: { what: 'interleavings of what an app and its peers do, over every kind of wire, held against what is said of the messages', tries: 10_000 },
  wire: { what: 'sequences of calls on the wire, each over TCP and TLS, compressed and not', tries: 1_000 },
  breaches: { what: 'breaches of each bound of backpressure in the middle of a turn, over TCP and TLS', tries: 100 },
  fds: { what: 'connections of one process, to see that no fd comes twice', tries: 10_000 },
  leaks: { what: 'connections that end in every way there is, to see that nothing leaks', tries: 10_000 },
  refusals: { what: 'upgrades refused in each way there is, to see that no socket is left', tries: 1_000 }
} as const

/** How often it is tried now. */
export function tries (claim: keyof typeof claims): number {
  return share(claims[claim].tries)
}
