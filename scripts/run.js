// Runs a program to its end, or for as long as it may, and gives what it printed. It has a process group of its own: when it
// is given up, or when we are ended, all that it has started ends with it.
import { spawn } from 'node:child_process'
import { constants } from 'node:os'

const groups = new Set()

function kill (pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    // It has ended meanwhile.
    if (error.code !== 'ESRCH') throw error
  }
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    for (const pid of groups) kill(pid)
    process.exit(128 + constants.signals[signal])
  })
}

/** @param limit in ms @returns {Promise<{ status: number | null, output: string, late: boolean }>} */
export function run (program, args, { cwd, env = process.env, limit }) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    let output = ''
    let late = false
    child.once('error', reject)
    if (child.pid === undefined) return
    groups.add(child.pid)
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text })
    const timer = setTimeout(() => {
      late = true
      kill(child.pid)
    }, limit)
    child.once('close', (status) => {
      clearTimeout(timer)
      groups.delete(child.pid)
      resolve({ status, output, late })
    })
  })
}
