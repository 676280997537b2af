/**
 * Where the time goes: a CPU profile of our server in one row, as shares of self time.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPair } from './process.js'

const MS = 200

/** The kernel is seen as the native call into it. */
function ownerOf ({ functionName, url }) {
  if (/^(writeBuffer|writev|writeLatin1String|writeUtf8String)$/.test(functionName) && url === '') return 'kernel: the socket\'s write'
  if (functionName === '(garbage collector)') return 'garbage collection'
  if (/\(idle\)|\(program\)|\(root\)/.test(functionName)) return null
  if (url.includes('/dist/')) return 'fastify-lifeline'
  if (url.includes('/ws/')) return 'ws'
  if (url.startsWith('node:')) return 'Node.js'
  if (url === '') return 'V8 and native code'
  return 'the rest'
}

export async function profile (name) {
  const [kind, perTurn] = name.split('-')
  const args = { perTurn: Number(perTurn), turns: Math.ceil(1_000_000 / Number(perTurn) / (kind === 'push' ? 1 : 1000)) }
  if (kind !== 'push' && kind !== 'broadcast') throw new Error('there are profiles of the push and broadcast rows')
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  const pair = await startPair('lifeline', { connections: kind === 'push' ? 1 : 1000, profile: folder })
  await pair.server.call(kind, args)
  const ended = pair.server.once('ended').catch(() => {})
  pair.server.send({ id: 0, name: 'exit' })
  await Promise.race([ended, new Promise((resolve) => { setTimeout(resolve, 20 * MS) })])
  await pair.client.stop()
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(join(folder, readdirSync(folder)[0]), 'utf8'))
  rmSync(folder, { recursive: true })
  const frames = new Map(nodes.map(({ id, callFrame }) => [id, callFrame]))
  const add = (map, key, value) => { map.set(key, (map.get(key) ?? 0) + value) }
  const owners = new Map()
  const functions = new Map()
  let total = 0
  for (const [i, id] of samples.entries()) {
    const frame = frames.get(id)
    const owner = ownerOf(frame)
    if (owner === null) continue
    total += timeDeltas[i]
    add(owners, owner, timeDeltas[i])
    add(functions, `${frame.functionName} ${frame.url.split('/').at(-1)}`, timeDeltas[i])
  }
  const show = (map, most) => [...map].toSorted(([, a], [, b]) => b - a).slice(0, most).map(([key, value]) => `${(100 * value / total).toFixed(1).padStart(5)} %  ${key}`).join('\n')
  console.log(`${name}\n${show(owners, 10)}\n\n${show(functions, 20)}`)
}
