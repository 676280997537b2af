import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { nextOf } from '../../../src/protocol/close-codes.js'
import { endsSession, keepsToken } from '../../../src/protocol/ends.js'

test('each close code means what PROTOCOL.md says, on either side', () => {
  const document = readFileSync(fileURLToPath(new URL('../../../PROTOCOL.md', import.meta.url)), 'utf8')
  const rows = [...document.slice(document.indexOf('## End, or come back')).matchAll(/^\| (\d{4}[^|]*?) \|([^|]*)\|([^|]*)\|$/gm)].map(([, codes, server, client]) => ({ codes: codes!.replace(/ \(.*/, ''), server: server!, client: client! }))
  const seen = new Set<number>()
  for (const { codes, server, client } of rows) {
    for (const part of codes.split(', ')) {
      const [from, to = from] = part.split('–').map(Number) as [number, number?]
      for (let code = from; code <= to; code++) {
        seen.add(code)
        assert.equal(endsSession(code), /ends/.test(server), `${code} at the server`)
        assert.equal(keepsToken(code), /token is kept/.test(client), `${code} at the client`)
        assert.equal(nextOf(code) === 'final', /final/.test(client) && code !== 4401, `${code}: stay away`)
      }
    }
  }
  // All that a peer may send, and those that say that it has sent none.
  const all = [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, ...Array.from({ length: 2000 }, (_, i) => 3000 + i)]
  assert.deepEqual(all.filter((code) => !seen.has(code)), [])
})
