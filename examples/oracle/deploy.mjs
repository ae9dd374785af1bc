// Deploys the contract: RPC_URL is the chain's node, PRIVATE_KEY the account that pays.

import { ContractFactory, JsonRpcProvider, Wallet } from 'ethers'

import { compile } from './compile.mjs'

/** iExec's contract by chain id: config/config.json of its PoCo repository. */
const IEXEC_PROXIES = {
  134: '0x3eca1B216A7DF1C7689aEb259fFB83ADFB894E7f', // Bellecour
  42161: '0x098bFCb1E50ebcA0BaA92C12eA0c3F045A1aD9f0', // Arbitrum One
  421614: '0xB2157BF2fAb286b2A4170E3491Ac39770111Da3E', // Arbitrum Sepolia
}

const { RPC_URL, PRIVATE_KEY, IEXEC_PROXY } = process.env
if (!RPC_URL || !PRIVATE_KEY) throw new Error('RPC_URL and PRIVATE_KEY must be set')

const provider = new JsonRpcProvider(RPC_URL)
const { chainId } = await provider.getNetwork()
const proxy = IEXEC_PROXY ?? IEXEC_PROXIES[chainId]
if (!proxy) throw new Error(`no iExec contract is known on chain ${chainId}: set IEXEC_PROXY to its address`)
if ((await provider.getCode(proxy)) === '0x') throw new Error(`there is no contract at ${proxy} on chain ${chainId}`)

const { abi, bytecode } = compile('contracts/DetectionConsumer.sol')
const contract = await new ContractFactory(abi, bytecode, new Wallet(PRIVATE_KEY, provider)).deploy(proxy)
await contract.waitForDeployment()
console.log(await contract.getAddress())
provider.destroy()
