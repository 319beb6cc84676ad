import { describe, expect, it } from 'vitest';
import { frame } from '../../pcaps/build.ts';
import { holdfast, jsonLines, pcapOf, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const VM = '02:00:00:00:00:aa';
const PEER = '02:00:00:00:00:bb';
const RULES = folder.write(
  'both.rules',
  `class data pass
class control hold
set media { type inet_service; flags timeout; elements = { 4000 timeout 2s } }
outbound {
  udp dport 4000 class data ordered
  tcp dport 80 class data guard
  default class control
}
inbound {
  udp dport @media class data
  udp dport 4000-4999 drop comment "late"
}
`,
);

const out = (dport: number) => frame().eth({ src: VM, dst: PEER }).ip4().udp(1, dport).build();
const into = (dport: number) => frame().eth({ src: PEER, dst: VM }).ip4().udp(1, dport).build();
const FRAMES = [
  into(4000),
  out(4000),
  into(4001),
  into(53),
  frame().eth({ src: VM, dst: PEER }).ip4().tcp(1, 80).build(),
  into(4000).subarray(0, 30),
  into(4000),
].map((bytes, i) => ({ bytes, atNs: i === 6 ? 2e9 : i * 1e6 }));
const capture = folder.write('both.pcap', pcapOf(FRAMES));

async function stdoutOf(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await holdfast([...args, '--rules', RULES, '--vm', VM]);
  expect([code, stderr]).toEqual([0, '']);
  return stdout;
}

const EXPECTED = [
  ['inbound', 'data', 'pass', 4, 'rule'],
  ['outbound', 'data', 'pass', 1, 'rule'],
  ['inbound', null, 'drop', 5, 'rule'],
  ['inbound', null, 'pass', null, 'inbound'],
  ['outbound', 'data', 'hold', 2, 'guard'],
  ['inbound', null, 'drop', null, 'truncated'],
  ['inbound', null, 'drop', 5, 'rule'],
];

describe('explain, where rules judge both directions,', () => {
  it('says what decided about each frame', async () => {
    const lines = jsonLines(await stdoutOf('explain', '--json', capture));
    const seen = lines.map((line) => {
      const { direction, class: name, verdict, rule, reason } = line as Record<string, unknown>;
      return [direction, name, verdict, (rule as { handle: number } | null)?.handle ?? null, reason];
    });
    expect(seen).toEqual(EXPECTED);
    expect(lines[2]).toMatchObject({ rule: { line: 11, text: 'udp dport 4000-4999 drop comment "late"' } });
  });

  it('begins every capture with the sets as the rules list them', async () => {
    const lines = jsonLines(await stdoutOf('explain', '--json', capture, capture));
    expect(lines.map((line) => (line as { verdict: string }).verdict)).toEqual(
      [...EXPECTED, ...EXPECTED].map(([, , verdict]) => verdict),
    );
  });

  it('prints the inbound rule of a frame for people', async () => {
    const lines = (await stdoutOf('explain', capture)).split('\n');
    expect(lines[0]).toMatch(/ in {2}pass data rule .* \[10: udp dport @media class data\]$/);
    expect(lines[3]).toMatch(/ in {2}pass inbound /);
    expect(lines[4]).toMatch(/ out hold data guard .* \[6: tcp dport 80 class data guard\]$/);
  });

  it('derives an inbound verdict rule by rule, and not where the rules have no such block', async () => {
    const text = await stdoutOf('explain', '--frame', '3', capture);
    expect(text).toContain('    no       udp.dport = 4001, looked up in @media\n');
    expect(text).toContain('    yes      udp.dport = 4001\n  -> matches: it decides\n');
    expect(text).toMatch(/verdict drop, reason rule: a rule matched\n$/);
    const json = JSON.parse(await stdoutOf('explain', '--json', '--frame', '4', capture));
    expect(json).toMatchObject({ direction: 'inbound', verdict: 'pass', reason: 'inbound' });
    expect(json.tried).toHaveLength(2);
    const plain = await holdfast(['explain', '--frame', '3', '--vm', VM, capture]);
    expect(plain.stdout).toMatch(/direction {6}inbound\nverdict pass, reason inbound: travels to the VM\n$/);
  });
});

describe('replay, where rules judge both directions,', () => {
  it('counts every frame once, and rules of both blocks', async () => {
    const result = JSON.parse(await stdoutOf('replay', '--json', capture));
    expect(result).toMatchObject({
      ...{ frames: 7, inbound: 5, outbound: 2, inboundPassed: 2, inboundDropped: 3 },
      ...{ passed: 1, held: 1, released: 1, dropped: 0, stillHeld: 0 },
      reasons: { rule: 4, inbound: 1, guard: 1, truncated: 1 },
    });
    const rules = result.rules as { handle: number; direction: string; frames: number }[];
    expect(rules.map(({ handle, direction, frames }) => [handle, direction, frames])).toEqual([
      [1, 'outbound', 1],
      [2, 'outbound', 1],
      [3, 'outbound', 0],
      [4, 'inbound', 1],
      [5, 'inbound', 2],
    ]);
  });

  it('has a report that tells the directions apart', async () => {
    const text = await stdoutOf('replay', capture);
    expect(text).toMatch(/ {2}in +data +pass +1 /);
    expect(text).toMatch(/ {2}out +data +pass +2 /);
    expect(text).toMatch(/ {2}in +- +no rule +2\n/);
    expect(text).toMatch(/ {2}in +5 +11 +2 +\d+ {2}udp dport 4000-4999 drop comment "late"\n/);
    expect(text).toMatch(/guard +1 {2}passes only under the TCP guard/);
  });
});
