import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { ZeroAddress, ZeroHash, concat, dataLength, dataSlice, id, toBeHex } from 'ethers'

import { SETTINGS, compile } from '../compile.mjs'
import { Oracle, encode, plain } from './callback.mjs'

const MAX_DETECTIONS = 32
const CALLBACK_GAS = 200_000
/** Bellecour's rules, and the newest. */
const HARDFORKS = ['berlin', 'osaka']
const TASK = id('task')

/** `count` detections, no two fields of which are alike. */
function detections(count) {
  return Array.from({ length: count }, (_, i) => ({
    categoryId: 1 + i,
    scoreBps: 9900 - 100 * i,
    x: 1001 + 7 * i,
    y: 2002 + 11 * i,
    width: 30003 + 13 * i,
    height: 40004 + 17 * i,
  }))
}

function result(count) {
  return { status: 0, imageSha256: id('image'), weightsSha256: id('weights'), detections: detections(count) }
}

for (const hardfork of HARDFORKS) {
  test(`every number of detections from 0 to 32 is kept and read back, on ${hardfork}`, async () => {
    const oracle = await Oracle.deploy({ hardfork })
    for (let count = 0; count <= MAX_DETECTIONS; ++count) {
      const taskId = id(`task ${count}`)
      const { error, event } = await oracle.finalize(taskId, encode(result(count)))
      assert.equal(error, null, `${count} detections`)
      assert.equal(event.name, 'ResultReceived')
      assert.deepEqual([...event.args], [taskId, 0n, BigInt(count)])
    }
    for (let count = 0; count <= MAX_DETECTIONS; ++count) {
      assert.deepEqual(await oracle.read(id(`task ${count}`)), result(count))
      assert.equal(await oracle.consumer.view('detectionCountOf', id(`task ${count}`)), BigInt(count))
    }
  })

  test(`the gas is what README.md says, on ${hardfork}`, async () => {
    const oracle = await Oracle.deploy({ hardfork })
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    for (const count of [0, 1, 16, 32]) {
      const { error, gas } = await oracle.finalize(id(`task ${count}`), encode(result(count)))
      assert.equal(error, null)
      assert.ok(gas <= CALLBACK_GAS)
      const row = readme.split('\n').find((line) => line.startsWith(`| ${count} |`))
      const stated = row.split('|')[2 + HARDFORKS.indexOf(hardfork)].trim()
      assert.equal(gas.toLocaleString('en-US'), stated, `gas for ${count} detections`)
    }
  })
}

test('the gas is what docs/iexec-quickstart.md says', async () => {
  const readme = readFileSync(new URL('../../../docs/iexec-quickstart.md', import.meta.url), 'utf8')
  const row = readme.split('\n').find((line) => line.startsWith('| gas of a contract '))
  const [, what, stated] = row.split('|').map((cell) => cell.trim())
  const count = Number(what.match(/keeps (\d+) detections/)[1])
  // Later rules cost more.
  const oracle = await Oracle.deploy({ hardfork: HARDFORKS.at(-1) })
  const { error, gas } = await oracle.finalize(TASK, encode(result(count)))
  assert.equal(error, null)
  assert.equal(gas.toLocaleString('en-US'), stated)
})

test('32 detections fit without the compiler\'s IR pipeline, too', async () => {
  const consumer = compile('contracts/DetectionConsumer.sol', { ...SETTINGS, viaIR: false })
  const oracle = await Oracle.deploy({ consumer })
  const { error } = await oracle.finalize(TASK, encode(result(MAX_DETECTIONS)))
  assert.equal(error, null)
})

test('each detection can be read alone', async () => {
  const oracle = await Oracle.deploy()
  await oracle.finalize(TASK, encode(result(5)))
  for (const [index, expected] of detections(5).entries()) {
    assert.deepEqual(plain(await oracle.consumer.view('detectionOf', TASK, index)), expected)
  }
  await assert.rejects(oracle.consumer.view('detectionOf', TASK, 5), { message: 'NoSuchDetection' })
})

test('the largest and the smallest numbers are kept', async () => {
  const oracle = await Oracle.deploy()
  const fields = ['categoryId', 'scoreBps', 'x', 'y', 'width', 'height']
  const extremes = [
    ...fields.map((field) => Object.fromEntries(fields.map((each) => [each, each === field ? 65535 : 0]))),
    ...fields.map((field) => Object.fromEntries(fields.map((each) => [each, each === field ? 0 : 65535]))),
  ]
  const digest = `0x${'ff'.repeat(32)}`
  const expected = { status: 255, imageSha256: digest, weightsSha256: digest, detections: extremes }
  const { error } = await oracle.finalize(TASK, encode(expected))
  assert.equal(error, null)
  assert.deepEqual(await oracle.read(TASK), expected)
})

test('a failed task keeps its error and no detection', async () => {
  const oracle = await Oracle.deploy()
  const failed = { status: 3, imageSha256: ZeroHash, weightsSha256: id('weights'), detections: [] }
  const { error, event } = await oracle.finalize(TASK, encode(failed))
  assert.equal(error, null)
  assert.deepEqual([...event.args], [TASK, 3n, 0n])
  assert.equal(await oracle.consumer.view('hasResult', TASK), true)
  assert.deepEqual(await oracle.read(TASK), failed)
})

test('a task without a result cannot be read', async () => {
  const oracle = await Oracle.deploy()
  await oracle.finalize(id('another task'), encode(result(1)))
  assert.equal(await oracle.consumer.view('hasResult', TASK), false)
  for (const [method, ...args] of [
    ['statusOf'],
    ['digestsOf'],
    ['detectionCountOf'],
    ['detectionOf', 0],
    ['detectionsOf'],
  ]) {
    await assert.rejects(oracle.consumer.view(method, TASK, ...args), { message: 'UnknownTask' }, method)
  }
})

test('only iExec\'s contract hands in results', async () => {
  const oracle = await Oracle.deploy()
  await assert.rejects(oracle.consumer.send('receiveResult', TASK, encode(result(1))), { message: 'NotIexec' })
  assert.equal(await oracle.consumer.view('hasResult', TASK), false)
})

test('the first result of a task stays', async () => {
  const oracle = await Oracle.deploy()
  await oracle.finalize(TASK, encode(result(2)))
  const { error, event } = await oracle.finalize(TASK, encode({ ...result(3), status: 1 }))
  assert.equal(error, 'AlreadyReceived')
  assert.equal(event, null)
  assert.deepEqual(await oracle.read(TASK), result(2))
})

test('malformed data are refused, and do not stand in the way of the task\'s result', async () => {
  const oracle = await Oracle.deploy()
  const valid = encode(result(2))
  const word = (index, value) =>
    concat([dataSlice(valid, 0, 32 * index), toBeHex(value, 32), dataSlice(valid, 32 * (index + 1))])
  const cuts = Array.from({ length: dataLength(valid) / 32 }, (_, words) => [32 * words, 32 * words + 1, 32 * words + 31])
  const cases = [
    ...cuts.flat().map((size) => [`cut to ${size} bytes`, dataSlice(valid, 0, size)]),
    ['a byte too long', concat([valid, '0x00'])],
    ['a word too long', concat([valid, ZeroHash])],
    ['33 detections', encode(result(MAX_DETECTIONS + 1))],
    ['a list elsewhere', word(3, 96)],
    ['a shorter list than said', word(4, 3)],
    ['a longer list than said', word(4, 1)],
    ['a list without end', word(4, 2n ** 256n - 1n)],
    ['a length that overflows', word(4, 2n ** 255n)],
  ]
  for (const [what, data] of cases) {
    assert.equal((await oracle.finalize(TASK, data)).error, 'MalformedResult', what)
  }
  for (const [index, value] of [[0, 256], ...Array.from({ length: 12 }, (_, field) => [5 + field, 65536])]) {
    const { error, gas } = await oracle.finalize(TASK, word(index, value))
    assert.equal(error, 'no data', `word ${index} out of range`)
    assert.ok(gas < CALLBACK_GAS, 'it is refused before the gas runs out')
  }
  assert.equal(await oracle.consumer.view('hasResult', TASK), false)
  assert.equal((await oracle.finalize(TASK, valid)).error, null)
  assert.deepEqual(await oracle.read(TASK), result(2))
})

test('the address of iExec\'s contract must be given', async () => {
  const { chain, consumer, proxy } = await Oracle.deploy()
  assert.equal((await consumer.view('iexecProxy')).toLowerCase(), proxy.address)
  const deployment = chain.deploy(compile('contracts/DetectionConsumer.sol'), ZeroAddress)
  await assert.rejects(deployment, { message: 'ZeroAddress' })
})
