// A chain of one process and one account, in which every transaction starts with nothing warm.

import { Common, Mainnet } from '@ethereumjs/common'
import { createLegacyTx } from '@ethereumjs/tx'
import { createAccount, createAddressFromPrivateKey, createAddressFromString, hexToBytes } from '@ethereumjs/util'
import { createVM, runTx } from '@ethereumjs/vm'
import { hexlify } from 'ethers'

/** Any key does: the chain is made anew each time. */
const PRIVATE_KEY = hexToBytes(`0x${'11'.repeat(32)}`)

export class Chain {
  #vm
  #common
  #sender = createAddressFromPrivateKey(PRIVATE_KEY)

  constructor(vm, common) {
    this.#vm = vm
    this.#common = common
  }

  /**
   * An empty chain but for the account that pays.
   *
   * @param {string} hardfork whose rules and prices it has, as ethereumjs names it
   */
  static async create(hardfork) {
    const common = new Common({ chain: Mainnet, hardfork })
    const chain = new Chain(await createVM({ common }), common)
    await chain.#vm.stateManager.putAccount(chain.#sender, createAccount({ balance: 10n ** 24n }))
    return chain
  }

  /**
   * Deploys what `compile` returns.
   *
   * @throws {Error} with the name of the contract's error, when the constructor reverts
   */
  async deploy({ abi, bytecode }, ...args) {
    const { createdAddress, execResult } = await this.#run({ data: bytecode + abi.encodeDeploy(args).slice(2) })
    if (execResult.exceptionError) throw new Error(reason(abi, hexlify(execResult.returnValue)))
    return new Contract(this, abi, createdAddress.toString())
  }

  /**
   * Calls a contract in a transaction.
   *
   * @returns the logs, and the calls in the order in which they ended, with the gas that each took inside
   */
  async send({ address, abi }, method, ...args) {
    const { events } = this.#vm.evm
    const targets = []
    const calls = []
    const began = ({ to }, resolve) => resolve(targets.push(to?.toString()))
    const ended = ({ execResult }, resolve) =>
      resolve(calls.push({ to: targets.pop(), gas: Number(execResult.executionGasUsed) }))
    events.on('beforeMessage', began)
    events.on('afterMessage', ended)
    const { execResult } = await this.#run({ to: address, data: abi.encodeFunctionData(method, args) })
    events.off('beforeMessage', began)
    events.off('afterMessage', ended)
    if (execResult.exceptionError) throw new Error(reason(abi, hexlify(execResult.returnValue)))
    const logs = execResult.logs.map(([from, topics, data]) => ({
      address: hexlify(from),
      topics: topics.map((topic) => hexlify(topic)),
      data: hexlify(data),
    }))
    return { logs, calls }
  }

  /**
   * Calls a view function.
   *
   * @throws {Error} with the name of the contract's error, when it reverts
   */
  async view({ address, abi }, method, ...args) {
    const { execResult } = await this.#vm.evm.runCall({
      to: createAddressFromString(address),
      data: hexToBytes(abi.encodeFunctionData(method, args)),
      isStatic: true,
    })
    if (execResult.exceptionError) throw new Error(reason(abi, hexlify(execResult.returnValue)))
    const values = abi.decodeFunctionResult(method, hexlify(execResult.returnValue))
    return values.length === 1 ? values[0] : values
  }

  async #run({ to, data }) {
    const { nonce } = await this.#vm.stateManager.getAccount(this.#sender)
    const fields = { nonce, to, data, gasLimit: 5_000_000n, gasPrice: 10n ** 9n }
    return runTx(this.#vm, { tx: createLegacyTx(fields, { common: this.#common }).sign(PRIVATE_KEY) })
  }
}

/** A deployed contract. */
class Contract {
  constructor(chain, abi, address) {
    this.chain = chain
    this.abi = abi
    this.address = address
  }

  send(method, ...args) {
    return this.chain.send(this, method, ...args)
  }

  view(method, ...args) {
    return this.chain.view(this, method, ...args)
  }
}

/** The name of the contract's error in the data of a revert, otherwise `no data` or the data. */
export function reason(abi, returndata) {
  if (returndata === '0x') return 'no data'
  return abi.parseError(returndata)?.name ?? returndata
}
