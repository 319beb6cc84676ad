import { expect, test } from 'vitest';
import { holdfast } from '../support/run-cli.ts';

test.each<[string, string[], string]>([
  ['nothing to do', ['bridge'], "see 'holdfast --help'"],
  ['no tap', ['bridge', 'attach', '--bridge', 'br0'], "required option '--vm-tap <device>' not specified"],
  ['no bridge', ['bridge', 'attach', '--vm-tap', 'tap0'], "required option '--bridge <device>' not specified"],
  ['a name that no device can have', ['bridge', 'detach', '--vm-tap', 'a/b'], 'expected the name of a network device'],
  ['a name like an option', ['bridge', 'detach', '--vm-tap=-x'], 'expected the name of a network device'],
  ['offloads of another kind', ['bridge', 'attach', '--vm-tap', 't', '--bridge', 'b', '--offloads', 'on'], 'keep, off'],
])('%s is wrong usage', async (_, words, message) => {
  const { code, stdout, stderr } = await holdfast(words);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toContain(message);
  expect(stderr.split('\n')).toHaveLength(2);
});

test.each(['attach', 'detach'])('bridge %s --help says what it does and how it ends', async (command) => {
  const { code, stdout } = await holdfast(['bridge', command, '--help']);
  expect(code).toBe(0);
  for (const word of ['--vm-tap', '--state', '--dry-run', '--json', 'Exit code:']) expect(stdout).toContain(word);
});
