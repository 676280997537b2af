// A reporter of Node's test runner for a program that reads it: one line of JSON for each test that has ended.
// Suites that went well are not among them, nor what failed for its subtests alone.

/** @returns {AsyncGenerator<string>} */
export default async function * (events) {
  const path = []
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      path.length = data.nesting
      path.push(data.name)
      continue
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue
    const name = [...path.slice(0, data.nesting), data.name].join(' > ')
    path.length = data.nesting
    const { type: kind, error } = data.details
    const passed = type === 'test:pass'
    if ((kind === 'suite' && passed) || error?.failureType === 'subtestsFailed') continue
    yield `${JSON.stringify({ name, passed, skipped: data.skip !== undefined })}\n`
  }
}
