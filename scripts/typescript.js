// Loads TypeScript, for `node --import`: types are struck out, so that each line and column stays where it is, and an import of `x.js`
// finds `x.ts`. Node.js does the first by itself since 22.18; before that the hooks run in a thread of their own.
import module from 'node:module'
import { typescriptOf } from './typescript-hooks.js'

if (process.features.typescript === 'strip') module.registerHooks({ resolve: (specifier, context, next) => next(typescriptOf(specifier, context) ?? specifier, context) })
else module.register('./typescript-hooks.js', import.meta.url)
