// Compiles, with a TypeScript before 7, what scripts/faces.js asks for, in the folder where it runs: what it finds wrong in files of ours
// it prints, with status 1. The types of others, with all that they import, are theirs; but ours are checked by what they say.
import { createRequire } from 'node:module'

const [compiler, tasks] = process.argv.slice(2)
const ts = createRequire(import.meta.url)(compiler)
const isOurs = ({ fileName }) => !fileName.includes('/node_modules/') || fileName.includes('/node_modules/fastify-lifeline/')

/** By name, and by what kind of module it is taken for. */
const parsed = new Map()

for (const { name, files, options: given } of JSON.parse(tasks)) {
  const { options, errors } = ts.convertCompilerOptionsFromJson(given, process.cwd())
  const host = ts.createCompilerHost(options)
  const read = host.getSourceFile
  host.getSourceFile = (file, how, ...others) => {
    const key = `${file} ${how.impliedNodeFormat}`
    if (!parsed.has(key)) parsed.set(key, read.call(host, file, how, ...others))
    return parsed.get(key)
  }
  const program = ts.createProgram(files, options, host)
  const ours = program.getSourceFiles().filter(isOurs)
  const wrong = [...errors, ...program.getOptionsDiagnostics(), ...program.getGlobalDiagnostics(), ...ours.flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])]
  if (!ours.some(({ fileName }) => fileName.endsWith('/fastify-lifeline/dist/index.d.ts'))) throw new Error('the types of the package were not found')
  if (wrong.length === 0) continue
  console.log(`${name}: ${ts.formatDiagnostics(wrong, host)}`)
  process.exitCode = 1
}
