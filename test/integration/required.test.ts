/**
 * The package as it is built, required: on each Node.js that it is for.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { errors } from '../../src/index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

test('require gives the plugin, with all of that, and the metrics', () => {
  const script = "const lifeline = require('fastify-lifeline'); const { collectMetrics } = require('fastify-lifeline/metrics'); console.log(JSON.stringify([typeof lifeline, lifeline.default === lifeline, Object.keys(lifeline).sort(), Object.keys(lifeline.errors), typeof collectMetrics]))"
  const output = execFileSync(process.execPath, ['-e', script], { cwd: root, encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'ignore'] })
  assert.deepEqual(JSON.parse(output), ['function', true, ['causes', 'default', 'errors', 'fastifyLifeline'], Object.keys(errors), 'function'])
})
