import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { compileMatcher } from '../../classifier/compile.ts';
import { LiveState } from '../../classifier/live-state.ts';
import { parse } from '../../classifier/parse.ts';
import { L3, Parsed } from '../../classifier/parsed.ts';
import { fromNft, type ImportedRules } from '../../rules/from-nft.ts';
import { parseRules } from '../../rules/parse.ts';
import { NftOracle, noNftReason } from '../support/nft-oracle.ts';
import { type OracleFrame, oracleFrames, writeFrames } from '../support/oracle-frames.ts';
import { runs, SEED } from '../support/runs.ts';

const reason = noNftReason();
const folder = mkdtempSync(join(tmpdir(), 'holdfast-nft-import-'));
const capture = join(folder, 'frames.pcap');
let frames: readonly OracleFrame[] = [];
let oracle: NftOracle | null = null;

beforeAll(async () => {
  if (reason !== null) return;
  frames = (await oracleFrames()).plain.filter((frame) => parsedOf(frame).parsed.l3 !== L3.unknown);
  writeFrames(capture, frames);
  oracle = new NftOracle();
});

afterAll(() => {
  oracle?.close();
  rmSync(folder, { recursive: true });
});

function parsedOf(frame: OracleFrame): { parsed: Parsed; view: DataView } {
  const parsed = new Parsed();
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  parse(parsed, view, 0, frame.length, frame.length);
  return { parsed, view };
}

/** By line of the nft text, how many frames its counter has counted: rules that accept or drop. */
function counters(listing: string): Map<number, number> {
  const counts = new Map<number, number>();
  listing.split('\n').forEach((line, index) => {
    const found = /counter packets (\d+) bytes \d+ (accept|drop)/.exec(line);
    if (found !== null) counts.set(index + 1, Number(found[1]));
  });
  return counts;
}

/** The same for the rules that were made of these lines. */
function imported({ text, rules }: ImportedRules): Map<number, number> {
  const { ruleSet, errors } = parseRules(text, 'imported');
  expect(errors).toEqual([]);
  const { outbound, sets } = ruleSet!;
  // Besides those, the policy and 'default'.
  expect(outbound.map((rule) => rule.text).slice(0, rules.length)).toHaveLength(rules.length);
  const matcher = compileMatcher(outbound, new LiveState(sets));
  const counts = new Map<number, number>(rules.map(({ line }) => [line, 0]));
  for (const frame of frames) {
    const { parsed, view } = parsedOf(frame);
    const line = rules[matcher.classify(parsed, view)]?.line;
    if (line !== undefined) counts.set(line, counts.get(line)! + 1);
  }
  return counts;
}

/** @returns how many of the rules counted something */
function expectEqual(body: string): number {
  const ruleset = `table netdev oracle {\n${body}\n}\n`;
  const listing = oracle!.countListed(ruleset, capture, frames.length);
  const made = fromNft(listing, 'ingress');
  expect(made.notTaken).toEqual([]);
  const lines = listing.split('\n');
  const shown = (counts: Map<number, number>) =>
    [...counts]
      .sort(([a], [b]) => a - b)
      .map(([line, count]) => `${count} ${lines[line - 1]!.replace(/packets \d+ bytes \d+/, '')}`);
  const kernel = counters(listing);
  const ours = imported(made);
  // A chain that nothing jumps to has counters, but makes no rules.
  const reached = new Map([...kernel].filter(([line, count]) => ours.has(line) || count > 0));
  const compared = new Map([...ours].filter(([line]) => kernel.has(line)));
  expect(shown(compared)).toEqual(shown(reached));
  return [...kernel.values()].filter((count) => count > 0).length;
}

const HOOK = 'type filter hook ingress device hfb priority 0; policy accept;\ncounter';

describe('imported rules select the frames that nft selects', () => {
  beforeEach(({ skip }) => skip(reason !== null, reason ?? ''));

  test('of a ruleset with sets, concatenations, comments and jumps', () => {
    const counted = expectEqual(
      `
set servers { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0/4 } }
set pairs { type ipv4_addr . inet_service; flags interval; elements = { 10.0.0.0/8 . 80, 192.168.0.0/16 . 1-1023 } }
chain tcpish {
  tcp flags & (fin|syn|rst|ack) == syn counter accept comment "begins"
  ip saddr . tcp dport @pairs counter drop
  ip ttl < 64 counter accept
}
chain icmpish {
  icmp type { echo-request, echo-reply } counter accept
  icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } counter accept
}
chain ingress {
  ${HOOK}
  arp operation request counter drop comment "who has"
  ip saddr @servers jump icmpish
  ip saddr . udp dport { 10.0.0.0/8 . 53, 192.168.0.0/16 . 67-68 } counter accept
  udp dport { 53, 5353 } log prefix "dns " counter accept
  meta l4proto { icmp, ipv6-icmp } goto icmpish
  ip daddr != @servers udp length > 100 counter drop
}`.replace('  tcp sport 1-1023 counter return\n', ''),
    );
    expect(counted).toBeGreaterThan(4);
  });

  test('of verdict maps, named and not, of goto, and of return from the base chain', () => {
    const counted = expectEqual(`
map services { type inet_service : verdict; flags interval; elements = { 53 : jump names, 80 : jump web, 1024-65535 : goto high } }
chain names {
  ip saddr 10.0.0.0/8 counter accept
  udp length < 60 counter drop
}
chain web {
  tcp flags syn counter drop
  tcp flags & (fin|rst) != 0 counter accept
}
chain high {
  ip ttl > 100 counter accept
}
chain ingress {
  ${HOOK}
  ip protocol vmap { icmp : jump web, ospf : jump high }
  tcp dport vmap @services
  udp dport vmap { 53 : jump names, 67 : goto high }
  ip6 daddr ff02::1 return
  ip6 hoplimit 255 counter drop
  tcp sport 80 counter accept
  ether daddr ff:ff:ff:ff:ff:ff counter drop
}`);
    expect(counted).toBeGreaterThan(4);
  });

  test('of random rulesets', () => {
    const ip4 = fc.constantFrom(
      '',
      'ip saddr 10.0.0.0/8',
      'ip daddr 224.0.0.0/4',
      'ip saddr != 192.168.0.0/16',
      'ip ttl 1-64',
    );
    const ports = fc.constantFrom(
      'tcp dport 1-1023',
      'tcp sport { 22, 80, 179, 443 }',
      'tcp flags & (syn|ack) == syn',
      'udp dport 53',
      'udp length > 60',
      'meta l4proto tcp',
      'icmp type echo-request',
      '@th,0,16 0-1023',
      'ip saddr . tcp dport { 10.0.0.0/8 . 80, 192.168.0.0/16 . 1-1023 }',
    );
    const alone = fc.constantFrom(
      'icmpv6 type nd-neighbor-solicit',
      'arp operation 1-2',
      'ether type ip6',
      'ip6 daddr ff02::/16',
    );
    const match = fc.oneof({ weight: 4, arbitrary: fc.tuple(ip4, ports).map((parts) => parts.join(' ')) }, alone);
    const rule = (verdicts: readonly string[]) =>
      fc.tuple(match, fc.constantFrom(...verdicts)).map((parts) => parts.join(' '));
    const chain = (verdicts: readonly string[], maxLength: number) =>
      fc.array(rule(verdicts), { minLength: 1, maxLength }).map((rules) => rules.join('\n'));
    const ends = ['counter accept', 'counter drop'];
    fc.assert(
      fc.property(
        chain(ends, 4),
        chain([...ends, 'jump inner'], 4),
        chain([...ends, 'jump outer', 'jump inner', 'goto outer', 'return'], 12),
        (inner, outer, base) => {
          expectEqual(`chain inner {\n${inner}\n}\nchain outer {\n${outer}\n}\nchain ingress {\n${HOOK}\n${base}\n}`);
        },
      ),
      { numRuns: runs(6), endOnFailure: true, ...SEED },
    );
  });
});
