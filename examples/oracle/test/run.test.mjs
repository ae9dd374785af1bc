// What the program wrote in a task with --callback: COMPUTED is the path of its computed.json, with the other results
// beside it.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { test } from 'node:test'

import { id } from 'ethers'

import { Oracle, encode } from './callback.mjs'

const TASK = id('task')
const skip = !process.env.COMPUTED && 'COMPUTED is not set'

test('a run of the program is read back from the contract', { skip }, async () => {
  const folder = dirname(process.env.COMPUTED)
  const read = (name) => JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const computed = read(basename(process.env.COMPUTED))
  const data = computed['callback-data']
  assert.match(data ?? '', /^0x[0-9a-f]+$/, 'the run was with --callback')

  const oracle = await Oracle.deploy()
  const { error, gas } = await oracle.finalize(TASK, data)
  assert.equal(error, null)
  const kept = await oracle.read(TASK)
  console.log(`status ${kept.status}, ${kept.detections.length} detections, ${gas} gas`)
  assert.equal(encode(kept), data, 'the program and ethers encode alike')

  const output = read(basename(computed['deterministic-output-path']))
  if (output.errors) {
    assert.notEqual(kept.status, 0)
    assert.deepEqual(kept.detections, [])
    return
  }
  assert.equal(kept.status, 0)
  assert.equal(output.images.length, 1)
  const [image] = output.images
  assert.equal(kept.imageSha256, `0x${image.sha256}`)
  assert.equal(kept.weightsSha256, `0x${output.weights}`)

  // The consensus file has no numbers of classes.
  const categories = new Map(read(`${image.image}.json`).detections.map((each) => [each.label, each.category_id]))
  const expected = image.detections.map(({ label, score, box: [x1, y1, x2, y2] }) => ({
    categoryId: categories.get(label),
    scoreBps: Math.round(score * 10_000),
    x: Math.min(x1, 65_535),
    y: Math.min(y1, 65_535),
    width: Math.min(x2 - x1, 65_535),
    height: Math.min(y2 - y1, 65_535),
  }))
  assert.deepEqual(kept.detections, expected.slice(0, 32))
})
