import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import { Interface } from 'ethers'
import solc from 'solc'

const require = createRequire(import.meta.url)

/** What the contract is deployed with: README.md says why. */
export const SETTINGS = {
  evmVersion: 'london',
  optimizer: { enabled: true, runs: 200 },
  viaIR: true,
}

/**
 * Compiles one Solidity file with what it imports from npm packages.
 *
 * @param {string} file path below this folder
 * @param {object} settings of the compiler
 * @returns {{abi: Interface, bytecode: string}} of the contract that is named as the file
 * @throws on errors, and on warnings about the file itself
 */
export function compile(file, settings = SETTINGS) {
  const input = {
    language: 'Solidity',
    sources: { [file]: { content: readFileSync(new URL(file, import.meta.url), 'utf8') } },
    settings: { ...settings, outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } } },
  }
  const readImport = (path) => ({ contents: readFileSync(require.resolve(path), 'utf8') })
  const output = JSON.parse(solc.compile(JSON.stringify(input), { import: readImport }))
  const complaints = (output.errors ?? []).filter(
    ({ severity, sourceLocation }) => severity === 'error' || !sourceLocation || sourceLocation.file === file,
  )
  if (complaints.length > 0) throw new Error(complaints.map((each) => each.formattedMessage).join('\n'))
  const name = file.split('/').at(-1).replace('.sol', '')
  const { abi, evm } = output.contracts[file][name]
  return { abi: new Interface(abi), bytecode: `0x${evm.bytecode.object}` }
}
