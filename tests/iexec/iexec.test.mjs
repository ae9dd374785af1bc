// iexec.json and the commands that the documentation shows, against the SDK of iExec: what it would refuse fails here.
// The package does not export its validators, so they are imported by their path.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { loadChainConf } from './node_modules/iexec/dist/esm/cli/utils/fs.js';
import { getId } from './node_modules/iexec/dist/esm/common/utils/config.js';
import * as validator from './node_modules/iexec/dist/esm/common/utils/validator.js';

const read = (path) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const EXAMPLES = ['examples/iexec/README.md', 'examples/oracle/README.md'];
const ZERO = `0x${'0'.repeat(40)}`;

// Checks one section; the schemas let unknown keys pass, which would be misspelt ones.
const check = async (schema, section) => {
  const unknown = Object.keys(section).filter((key) => !(key in schema.fields));
  assert.deepEqual(unknown, [], 'unknown keys');
  await schema.validate(section, { abortEarly: false });
};

const checkParams = async ({ tag, callback, params }) => {
  const bits = await validator.tagSchema({ allowAgnosticTee: true }).validate(tag);
  const isTee = (parseInt(bits.slice(-1), 16) & 1) === 1;
  const isCallback = callback !== ZERO;
  // Strict: nothing is cast, defaulted or left out on the way.
  await validator.objParamsSchema().validate(params, { strict: true, abortEarly: false, context: { isTee, isCallback } });
};

const checkAll = async (configuration) => {
  assert.deepEqual(Object.keys(configuration), ['app', 'order']);
  await check(validator.appSchema(), configuration.app);
  await check(validator.apporderSchema(), configuration.order.apporder);
  await check(validator.requestorderSchema(), configuration.order.requestorder);
  await checkParams(configuration.order.requestorder);
};

test('iexec.json is valid', async () => {
  await checkAll(JSON.parse(read('iexec.json')));
});

test('chain.json names networks that the SDK knows', async () => {
  process.chdir(new URL('../..', import.meta.url).pathname);
  const { chains, default: usual } = await loadChainConf();
  assert.ok(usual in chains);
  for (const name of Object.keys(chains)) assert.ok(getId(name), name);
});

test('iexec.json has no errors that would go unnoticed', async () => {
  for (const [what, spoil] of [
    ['the type', ({ app }) => (app.type = 'docker')],
    ['the checksum', ({ app }) => (app.checksum = '0x12')],
    ['the image', ({ app }) => delete app.multiaddr],
    ['a misspelt key', ({ app }) => (app.multiadress = 'x')],
    ['an address', ({ order }) => (order.apporder.app = '0x1')],
    ['a price', ({ order }) => (order.apporder.appprice = '-1')],
    ['a volume', ({ order }) => (order.requestorder.volume = 'all')],
    ['a category', ({ order }) => (order.requestorder.category = 'XS')],
    ['a tag', ({ order }) => (order.requestorder.tag = ['scone', 'tdx'])],
    ['an input file', ({ order }) => (order.requestorder.params.iexec_input_files = ['ipfs://x'])],
    ['arguments', ({ order }) => (order.requestorder.params.iexec_args = ['a.jpg'])],
    ['a storage', ({ order }) => (order.requestorder.params.iexec_result_storage_provider = 'disk')],
    ['a parameter of old', ({ order }) => (order.requestorder.params.iexec_developer_logger = true)],
  ]) {
    const configuration = JSON.parse(read('iexec.json'));
    spoil(configuration);
    await assert.rejects(checkAll(configuration), undefined, what);
  }
});

// The `iexec` commands in the code blocks of a page, which may be indented, as a shell splits them.
const commands = (page) => {
  const blocks = [...read(page).matchAll(/^ *```sh\n(.*?)^ *```/gms)].map((match) => match[1]);
  const all = blocks.join('').replaceAll('\\\n', ' ').split('\n').map((line) => line.trimStart());
  const lines = all.filter((line) => line.startsWith('iexec '));
  const split = (line) => {
    const addressed = line.replaceAll(/\$[A-Z]+/g, ZERO);
    return execFileSync('sh', ['-c', `printf '%s\\0' ${addressed}`], { encoding: 'utf8' }).split('\0').slice(1, -1);
  };
  return lines.map(split);
};

for (const page of ['README.md', 'docs/iexec-quickstart.md', ...EXAMPLES]) {
  test(`the commands of ${page} are those of the SDK, with options that it knows`, () => {
    assert.ok(commands(page).length > 0);
    for (const command of commands(page)) {
      const name = command.slice(0, 2);
      const program = new URL('node_modules/.bin/iexec', import.meta.url).pathname;
      const help = execFileSync(program, [...name, '--help'], { encoding: 'utf8' });
      assert.ok(help.startsWith(`Usage: iexec ${name.join(' ')} `), `there is no command ${name.join(' ')}`);
      for (const option of command.filter((word) => /^--[a-z-]+$/.test(word))) {
        assert.match(help, new RegExp(`^ +${option} `, 'm'), `${name.join(' ')} has no option ${option}`);
      }
    }
  });
}

// Without its secret, the SDK refuses a dataset in a trusted environment: checkDatasetRequirements of
// common/execution/order-helper.js.
test('a dataset is encrypted and its secret pushed before it is published', () => {
  const all = commands('examples/iexec/README.md');
  const names = all.filter(([group]) => group === 'dataset').map(([, name]) => name);
  assert.deepEqual(names, ['init', 'encrypt', 'deploy', 'push-secret', 'publish']);
  assert.ok(all.find(([group, name]) => group === 'dataset' && name === 'init').includes('--encrypted'));
});

test('the parameters and datasets of the examples are valid', async () => {
  const page = read('examples/iexec/README.md');
  const sections = [...page.matchAll(/^```json\n(.*?)^```/gms)].map((match) => JSON.parse(match[1]));
  assert.ok(sections.length > 0);
  for (const { dataset } of sections) await check(validator.datasetSchema(), dataset);
  for (const command of EXAMPLES.flatMap(commands).filter(([group]) => group === 'app')) {
    const value = (option) => command[command.indexOf(option) + 1 || command.length];
    const params = value('--params') ? JSON.parse(value('--params')) : {};
    if (value('--args')) params.iexec_args = value('--args');
    if (value('--input-files')) params.iexec_input_files = value('--input-files').split(',');
    params.iexec_result_storage_provider ??= 'ipfs';
    await checkParams({ tag: value('--tag').split(','), callback: value('--callback') ?? ZERO, params });
  }
});
