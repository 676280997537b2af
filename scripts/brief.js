// For runs in which a test is only to fail or hold: no failure takes longer than it must.
import fc from 'fast-check'

// A smaller example of what fails is not looked for: that takes minutes, where each is a run of a model.
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true })

// What is waited for in vain is not waited for as long as on a busy machine.
process.env.PATIENCE ??= '10000'
