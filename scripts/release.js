// Whether this commit can be released under a tag: what npm or a reader would miss only when it is too late.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * What is in the way; nothing, if it can be.
 * @param tag `v1.2.3`
 * @param here `owner/name` of the repository that it is released from; undefined: that is not known
 */
export function obstacles ({ tag, manifest, lock, changelog, here }) {
  const { version, repository } = manifest
  const address = typeof repository === 'object' ? repository.url : repository
  return [
    tag !== `v${version}` && `the tag is ${tag}, the version of package.json ${version}`,
    lock.version !== version && `package-lock.json is that of ${lock.version}: run npm install --package-lock-only`,
    !new RegExp(`^## \\[${version.replaceAll('.', '\\.')}\\] - \\d{4}-\\d\\d-\\d\\d$`, 'm').test(changelog) && `CHANGELOG.md has no heading "## [${version}] - ", with a date`,
    address === undefined && 'package.json has no repository: npm refuses the provenance of a package that does not say where it is from',
    address !== undefined && here !== undefined && !address.includes(`github.com/${here}`) && `package.json names the repository ${address}, and this is ${here}`
  ].filter((obstacle) => obstacle !== false)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const read = (file) => readFileSync(join(fileURLToPath(new URL('..', import.meta.url)), file), 'utf8')
  const found = obstacles({
    tag: process.argv[2] ?? '',
    manifest: JSON.parse(read('package.json')),
    lock: JSON.parse(read('package-lock.json')),
    changelog: read('CHANGELOG.md'),
    here: process.env.GITHUB_REPOSITORY
  })
  for (const obstacle of found) console.error(obstacle)
  if (found.length > 0) process.exitCode = 1
}
