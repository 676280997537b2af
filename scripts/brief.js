// For runs in which a test is only to fail or hold: no failure takes longer than it must.
import assert from 'node:assert/strict'
import fc from 'fast-check'

// A smaller example of what fails is not looked for: that takes minutes, where each is a run of a model.
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true })

// Without a message Node.js 20 looks for the text of the assertion in the file as it is on disk, at the place that it has in the code
// as the loader has made it; where that is past the end of the file it parses all of it again and again, for minutes.
const { ok } = assert
assert.ok = (value, message = 'it does not hold') => { ok(value, message) }
