/**
 * The laboratory: every way a connection can die, or be thought dead, on one server at the same time; then what can
 * happen to the server itself. `npm run laboratory` writes what it has seen into docs/reliability.md.
 */
import assert from 'node:assert/strict'
import { execFileSync, fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Cause } from '../../src/index.js'
import { until } from '../support/app.js'
import { needs } from '../support/needs.js'
import { startRemote } from '../support/remote.js'
import type { Closed, Remote } from '../support/remote.js'
import { boundOf, machine } from './support/bound.js'
import { CLIENTS, clientFaults, serverFaults } from './support/faults.js'
import type { ClientFault, ClientFaultName, ServerFaultName, Site } from './support/faults.js'
import { startFleet } from './support/fleet.js'
import type { Fleet } from './support/fleet.js'
import { createNetwork } from './support/network.js'
import type { Network } from './support/network.js'
import { startHaproxy, startNginx } from './support/proxies.js'
import type { Proxy } from './support/proxies.js'

const HEARTBEAT = { interval: 1000, timeout: 2000 }

/** A push to everybody so often, in ms. */
const EVERY = 100

/** In the server's namespace. */
const ports = { nginx: 8001, nginxRestart: 8002, haproxy: 8003, delay: 8004 } as const
const loader = new URL('../../scripts/typescript.js', import.meta.url).href
const DELAY = 300

const names = Object.keys(clientFaults) as ClientFaultName[]

interface Row { what: string, connections: number, server: string, app: string, lost: string }

interface Party extends Site {
  readonly name: ClientFaultName
  readonly fault: ClientFault
  /** The address under which the server knows these clients. */
  readonly address: string
}

/** A relay that delays, in the server's namespace. */
async function startDelay (t: TestContext, prefix: string[], upstream: number): Promise<void> {
  const [program, ...args] = [...prefix, process.execPath]
  const child = fork(fileURLToPath(new URL('support/delay.ts', import.meta.url)), [ports.delay, upstream, DELAY].map(String), {
    execPath: program!, execArgv: [...args, '--import', loader], stdio: ['ignore', 'inherit', 'inherit', 'ipc']
  })
  const exited = once(child, 'exit')
  t.after(async () => { child.kill('SIGKILL'); await exited })
  await once(child, 'message')
}

const listensOn = (prefix: string[], port: number) => async (): Promise<boolean> =>
  execFileSync(prefix[0]!, [...prefix.slice(1), 'ss', '-Hltn', `sport = :${port}`], { encoding: 'utf8' }) !== ''

/** A disk for the log alone. One that a killed run left behind goes with the next. */
function smallDisk (t: TestContext): string {
  for (const name of readdirSync(tmpdir())) {
    const pid = /^lifeline-disk-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue
    spawnSync('umount', ['-l', join(tmpdir(), name)])
    rmSync(join(tmpdir(), name), { recursive: true, force: true })
  }
  const folder = mkdtempSync(join(tmpdir(), `lifeline-disk-${process.pid}-`))
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'lifeline', folder])
  t.after(() => {
    // Lazily: the server may still have its log open.
    spawnSync('umount', ['-l', folder])
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

async function setUp (t: TestContext, logFile: string): Promise<{ server: Remote, prefix: string[], parties: Party[] }> {
  const network: Network<ClientFaultName> = createNetwork(t, ...names)
  const server = await startRemote(t, { prefix: network.server, host: '0.0.0.0', trustProxy: true, logFile, lifeline: { heartbeat: HEARTBEAT, closeTimeout: 1000 } })
  const proxy = (start: typeof startNginx, port: number): Promise<Proxy> =>
    start(t, { upstream: server.port, listen: `0.0.0.0:${port}`, idle: 60, prefix: network.server, reachable: listensOn(network.server, port) })
  const proxies: Partial<Record<ClientFaultName, { proxy: Proxy | null, port: number }>> = {
    nginxReload: { proxy: await proxy(startNginx, ports.nginx), port: ports.nginx },
    nginxRestart: { proxy: await proxy(startNginx, ports.nginxRestart), port: ports.nginxRestart },
    haproxyReload: { proxy: await proxy(startHaproxy, ports.haproxy), port: ports.haproxy },
    delay: { proxy: null, port: ports.delay }
  }
  await startDelay(t, network.server, server.port)
  const fleets = await Promise.all(names.map(async (name) => await startFleet(t, network.groups[name].prefix)))
  const parties = await Promise.all(names.map(async (name, index): Promise<Party> => {
    const group = network.groups[name]
    const fleet = fleets[index]!
    const { proxy = null, port = server.port } = proxies[name] ?? {}
    const fault: ClientFault = clientFaults[name]
    await fleet.connect(`ws://${group.host}:${port}/${fault.patient === true ? 'patient' : 'echo'}`, 'ws', CLIENTS)
    // What comes through the relay comes from the server's own machine.
    return { name, fault, group, fleet, proxy, address: name === 'delay' ? '127.0.0.1' : group.client }
  }))
  return { server, prefix: network.server, parties }
}

const milliseconds = (times: number[]): string => {
  const sorted = times.toSorted((a, b) => a - b)
  return `${sorted[Math.floor(sorted.length / 2)]} ms (at most ${sorted.at(-1)} ms)`
}

/** How many messages its clients have received. */
const receivedBy = async (fleet: Fleet): Promise<number> => (await fleet.state()).reduce((sum, { messages }) => sum + messages, 0)

/** All at once, each to its own clients, while everybody is pushed to. */
async function strike (t: TestContext, server: Remote, parties: Party[]): Promise<Row[]> {
  const bound = await boundOf(server, HEARTBEAT)
  await server.traffic(EVERY)
  await sleep(1000)
  const before = Object.fromEntries(await Promise.all(parties.map(async ({ name, fleet }) => [name, await receivedBy(fleet)])))
  const machineTook = await machine(server, HEARTBEAT.timeout)
  const at = Object.fromEntries(parties.map((party) => {
    const now = Date.now()
    Promise.resolve(party.fault.inject(party)).catch((error: unknown) => { t.diagnostic(String(error)) })
    return [party.name, now]
  })) as Record<ClientFaultName, number>
  const dying = parties.filter(({ fault }) => fault.cause !== null)
  // How long each may take is judged below.
  await until('who dies has died', async () => (await server.closed()).length >= dying.length * CLIENTS, 30_000)
  const { added } = await machineTook()
  // The living shall have had time to be taken for dead.
  await sleep(bound)
  await server.traffic(0)
  assert.equal((await server.stats()).errors, 0)
  const closed = await server.closed()
  const pushed = await server.pushed()
  const of = ({ address }: Party): Closed[] => closed.filter(({ remoteAddress }) => remoteAddress === address)
  const rows: Row[] = []
  for (const party of parties) {
    const { name, fault, fleet, address } = party
    const ends = of(party)
    const { true: taken, false: refused } = pushed[address]!
    if (fault.cause === null) {
      assert.equal(refused, 0, `${fault.what}: pushes were refused`)
      assert.deepEqual(ends, [], `${fault.what}: live ones were lost`)
      await until(`${fault.what}: all has arrived`, async () => await receivedBy(fleet) === taken, 20_000).catch(async (error: Error) => {
        throw new Error(`${error.message}: ${await receivedBy(fleet)} of ${taken}`)
      })
      rows.push({ what: fault.what, connections: CLIENTS, server: 'nobody ended', app: '`safePush` true', lost: 'nothing' })
      continue
    }
    assert.deepEqual(count(ends.map(({ cause }) => cause)), { [fault.cause]: CLIENTS }, fault.what)
    const times = ends.map(({ closedAt }) => closedAt - at[name])
    const limit = fault.found === 'at once' ? EVERY : fault.found === 'by the heartbeat' ? bound : bound + 1000
    assert.ok(Math.max(...times) <= limit + added, `${fault.what}: ${milliseconds(times)}, the limit is ${limit} ms and ${added} ms for the machine`)
    for (const { fd } of ends) {
      assert.equal(await server.exists(fd), false)
      assert.equal(await server.safePush(fd, 'x'), false)
    }
    if (name === 'freeze') fleet.process.kill('SIGCONT')
    const received = name === 'kill' ? null : await receivedBy(fleet)
    const lost = received === null ? taken - before[name]! : taken - received
    rows.push({
      what: fault.what,
      connections: CLIENTS,
      server: `\`${fault.cause}\` after ${milliseconds(times)}`,
      app: '`exists` and `safePush` false from then on, one `close` event each, no error',
      lost: lost === 0 ? 'nothing' : `${received === null ? 'at most ' : ''}${lost} of ${taken} messages: those pushed before it was found`
    })
  }
  return rows
}

function count<T extends string> (values: T[]): Partial<Record<T, number>> {
  const counts: Partial<Record<T, number>> = {}
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1
  return counts
}

/** What is done to the server while its living clients go on. */
function serverTrials (t: TestContext, server: Remote, prefix: string[], living: Party[], disk: string): Record<ServerFaultName, () => Promise<string>> {
  const control = living.find(({ name }) => name === 'control')!
  const url = `ws://${control.group.host}:${server.port}/echo`
  const setFiles = (limit: string): void => { execFileSync('prlimit', ['--pid', String(server.pid), `--nofile=${limit}`]) }
  return {
    stall: async () => {
      await server.stall(4000)
      return 'nobody ended'
    },
    stop: async () => {
      server.process.kill('SIGSTOP')
      await sleep(4000)
      server.process.kill('SIGCONT')
      return 'nobody ended'
    },
    clock: async () => {
      await server.jump(3_600_000)
      await sleep(HEARTBEAT.interval)
      await server.jump(0)
      return 'nobody ended'
    },
    disk: async () => {
      const filler = openSync(join(disk, 'filler'), 'w')
      assert.throws(() => { for (let i = 0; i < 10_000; i++) writeSync(filler, Buffer.alloc(4096)) }, { code: 'ENOSPC' })
      const before = (await server.stats()).opened
      // The log's last page may have room for a dozen of lines.
      const guests = 40
      await control.fleet.connect(url, 'ws', guests)
      const { length } = await control.fleet.state()
      for (let i = length - guests; i < length; i++) await control.fleet.reset(i)
      await until('they are gone', async () => (await server.stats()).opened === before + guests && await server.size() === living.length * CLIENTS)
      assert.ok(await server.unlogged() > 0, 'the log could be written')
      closeSync(filler)
      rmSync(join(disk, 'filler'))
      return 'nobody ended; new ones came and went'
    },
    files: async () => {
      const soft = /Max open files\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/limits`, 'utf8'))![1]!
      const size = await server.size()
      // The limit is one of numbers: so many below it are free.
      const taken = new Set(readdirSync(`/proc/${server.pid}/fd`).map(Number))
      let limit = 0
      for (let room = 5; room > 0; limit++) if (!taken.has(limit)) room--
      setFiles(`${limit}:`)
      const tried = await Promise.allSettled(Array.from({ length: 60 }, async () => { await control.fleet.connect(url, 'ws', 1) }))
      const refused = tried.filter(({ status }) => status === 'rejected').length
      assert.ok(refused > 0, 'none was refused')
      assert.ok(await server.size() >= size, 'some that were open have ended')
      setFiles(`${soft}:`)
      await control.fleet.connect(url, 'ws', 1)
      t.diagnostic(`without file descriptors ${refused} of 60 were not accepted`)
      return 'nobody ended; who could not be accepted was cut off, and could come in again afterwards'
    },
    close: async () => {
      const took = await server.close()
      for (const { fleet, fault } of living) {
        await until(`${fault.what}: all were told`, async () => (await fleet.state()).every(({ open }) => !open))
      }
      const codes = (await Promise.all(living.map(async ({ fleet }) => await fleet.state()))).flat().map(({ code }) => code)
      assert.deepEqual(new Set(codes.filter((code) => code !== 1006)), new Set([1012]))
      assert.equal(await server.exited, 0)
      return `\`shutdown\`: all were told 1012 with a time to come back, within ${Math.round(took)} ms`
    },
    kill: async () => {
      const other = await startRemote(t, { prefix, host: '0.0.0.0' })
      const { length } = await control.fleet.state()
      await control.fleet.connect(`ws://${control.group.host}:${other.port}/echo`, 'ws', CLIENTS)
      other.process.kill('SIGKILL')
      await until('all have noticed', async () => (await control.fleet.state()).slice(length).every(({ code }) => code === 1006))
      return 'its kernel ends all: every client sees 1006, and reconnects'
    }
  }
}

test('the laboratory (field 1, 3, 5, 16)', { timeout: 240_000 }, async (t) => {
  if (!needs(t, 'namespaces', 'tc', 'nginx', 'haproxy')) return
  const disk = smallDisk(t)
  const { server, prefix, parties } = await setUp(t, join(disk, 'log'))
  const rows = await strike(t, server, parties)
  const living = parties.filter(({ fault }) => (fault.cause as Cause | null) === null)
  for (const [name, trial] of Object.entries(serverTrials(t, server, prefix, living, disk)) as Array<[ServerFaultName, () => Promise<string>]>) {
    const goesOn = name !== 'close' && name !== 'kill'
    const ended = goesOn ? (await server.closed()).length : null
    const pushedBefore = goesOn ? await server.pushed() : null
    if (goesOn) await server.traffic(EVERY)
    const saw = await trial()
    if (ended !== null) {
      await sleep(HEARTBEAT.interval + HEARTBEAT.timeout)
      await server.traffic(0)
      const since = (await server.closed()).slice(ended).filter(({ cause }) => cause === 'heartbeat' || cause === 'stalled')
      assert.deepEqual(since, [], `${serverFaults[name]}: live ones were lost`)
      for (const { fleet, address, fault } of living) {
        if (fault === clientFaults.control) continue
        const taken = (await server.pushed())[address]!.true
        await until(`${serverFaults[name]}, ${fault.what}: all has arrived`, async () => await receivedBy(fleet) === taken, 20_000)
        assert.ok(taken > pushedBefore![address]!.true)
      }
    }
    rows.push({
      what: serverFaults[name],
      connections: name === 'kill' ? CLIENTS : living.length * CLIENTS,
      server: saw,
      app: goesOn ? '`safePush` true' : name === 'close' ? '`exists` and `safePush` false, one `close` event each, no error' : 'nothing: it is gone',
      lost: name === 'kill' ? 'what waited in the process' : 'nothing'
    })
  }
  for (const { what, server: saw, lost } of rows) t.diagnostic(`${what}: ${saw}; lost: ${lost}`)
  if (process.env.WRITE_RELIABILITY === 'true') write(rows)
})

/** Between its marks docs/reliability.md is ours. */
function write (rows: Row[]): void {
  const file = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url))
  const table = [
    '| fault | connections | what the server saw | what the app saw | what was lost |',
    '| --- | --- | --- | --- | --- |',
    ...rows.map(({ what, connections, server, app, lost }) => `| ${what} | ${connections} | ${server} | ${app} | ${lost} |`)
  ].join('\n')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(<!-- laboratory -->\n)[\s\S]*?(\n<!-- \/laboratory -->)/, (_, begin: string, end: string) => begin + table + end))
}
