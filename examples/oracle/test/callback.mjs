// Callback data as the program writes them, made by ethers, and their way into the contract.

import { AbiCoder } from 'ethers'

import { compile } from '../compile.mjs'
import { Chain, reason } from './chain.mjs'

/** The types of the four values, as in the program's documentation. */
const TYPES = [
  'uint8 status',
  'bytes32 imageSha256',
  'bytes32 weightsSha256',
  'tuple(uint16 categoryId, uint16 scoreBps, uint16 x, uint16 y, uint16 width, uint16 height)[] detections',
]

const PROXY = compile('test/IexecProxyStandIn.sol')
const CONSUMER = compile('contracts/DetectionConsumer.sol')

/** `abi.encode` of a result. */
export function encode({ status, imageSha256, weightsSha256, detections }) {
  return AbiCoder.defaultAbiCoder().encode(TYPES, [status, imageSha256, weightsSha256, detections])
}

/** A consumer and the contract that calls it back, on a new chain. */
export class Oracle {
  static async deploy({ hardfork = 'osaka', consumer = CONSUMER } = {}) {
    const oracle = new Oracle()
    oracle.chain = await Chain.create(hardfork)
    oracle.proxy = await oracle.chain.deploy(PROXY)
    oracle.consumer = await oracle.chain.deploy(consumer, oracle.proxy.address)
    return oracle
  }

  /**
   * Finishes a task with these callback data.
   *
   * @returns {{error: string | null, event: object | null, gas: number}} why `receiveResult` reverted, as `reason` says
   *   it; what it logged; the gas that it took, of the 200,000 that it was given
   */
  async finalize(taskId, data) {
    const { logs, calls } = await this.proxy.send('finalize', this.consumer.address, taskId, data)
    const { success, returndata } = this.proxy.abi.parseLog(logs.at(-1)).args
    return {
      error: success ? null : reason(this.consumer.abi, returndata),
      event: logs.length > 1 ? this.consumer.abi.parseLog(logs[0]) : null,
      gas: calls.find(({ to }) => to === this.consumer.address).gas,
    }
  }

  /** What the contract keeps of a task, in the form that `encode` takes. */
  async read(taskId) {
    const [imageSha256, weightsSha256] = await this.consumer.view('digestsOf', taskId)
    const detections = await this.consumer.view('detectionsOf', taskId)
    return {
      status: Number(await this.consumer.view('statusOf', taskId)),
      imageSha256,
      weightsSha256,
      detections: detections.map(plain),
    }
  }
}

/** A detection of ethers' kind as one with numbers. */
export function plain(detection) {
  return Object.fromEntries(Object.entries(detection.toObject()).map(([field, value]) => [field, Number(value)]))
}
