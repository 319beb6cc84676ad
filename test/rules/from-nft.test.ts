import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatRules } from '../../rules/format.ts';
import { fromNft } from '../../rules/from-nft.ts';
import { NftImportError } from '../../rules/nft-chain.ts';
import { parseRules } from '../../rules/parse.ts';
import { runs, SEED } from '../support/runs.ts';

/** A table as `nft list ruleset` prints it. */
function listed(rules: string, { family = 'netdev', policy = 'accept', more = '' } = {}): string {
  const lines = rules.split('\n').map((line) => `\t\t${line.trim()}\n`);
  return `table ${family} filter {\n${more}\tchain out {\n\t\ttype filter hook egress device "eth0" priority filter; policy ${policy};\n${lines.join('')}\t}\n}\n`;
}

/** The lines of the outbound block, blanks folded, without comments that only say which chain this is. */
function made(text: string, chain: string | null = null): string[] {
  const { text: result, notTaken } = fromNft(text, chain);
  expect(parseRules(result, 'made').errors).toEqual([]);
  expect(formatRules(result)).toBe(result);
  const block = result.slice(result.indexOf('outbound {\n') + 11, result.lastIndexOf('}'));
  const lines = block.split('\n').map((line) => line.trim().replace(/ +/g, ' '));
  for (const { line } of notTaken) expect(line).toBeGreaterThan(0);
  return lines.filter((line) => line !== '' && !/^# (chain|policy) /.test(line));
}

function reasons(text: string): string[] {
  return fromNft(text).notTaken.map(({ line, reason }) => `${line}: ${reason}`);
}

describe('an nft ruleset becomes a rule file', () => {
  it('with its matches as they are, its verdicts as class or drop, its comments, and its policy', () => {
    const text = listed(`tcp dport { 22, 443 } counter packets 5 bytes 300 accept comment "admins"
      ip saddr 192.0.2.0/24 udp dport != 53 log prefix "x " level info flags tcp sequence,options drop
      tcp flags syn / fin,syn,rst,ack reject with tcp reset comment "no"`);
    expect(made(text)).toEqual([
      'tcp dport { 22, 443 } class accepted comment "admins"',
      'ip saddr 192.0.2.0/24 udp dport != 53 drop',
      'tcp flags syn / fin,syn,rst,ack drop comment "no"',
      'frame length >= 0 class accepted',
      'default hold',
    ]);
    expect(fromNft(text)).toMatchObject({ chain: 'netdev filter out', taken: 3, notTaken: [] });
    expect(fromNft(text).text).toContain('class accepted hold\n');
  });

  it('that asks for the family of its table where the rule leaves it open', () => {
    const rules = 'tcp dport 22 accept\nip saddr 192.0.2.1 accept\nether saddr 02:00:00:00:00:01 drop';
    const families = { inet: '{ ip, ip6 }', ip: 'ip', ip6: 'ip6' };
    for (const [family, types] of Object.entries(families)) {
      const lines = made(listed(rules, { family, policy: 'drop' }));
      expect(lines.at(2)).toBe(`ether type ${types} ether saddr 02:00:00:00:00:01 drop`);
      // Frames of other families never meet the policy.
      expect(lines.at(-2)).toBe(`ether type ${types} drop`);
      expect(lines.at(0)).toBe(
        family === 'inet' ? 'tcp dport 22 class accepted' : `ether type ${types} tcp dport 22 class accepted`,
      );
    }
    expect(made(listed('drop', { family: 'arp' }))).toEqual([
      'ether type arp drop',
      'ether type arp class accepted',
      'default hold',
    ]);
  });

  it('with the chains that it jumps to in their places', () => {
    const more = `\tchain web {\n\t\ttcp dport 80 accept\n\t\tip saddr @bad drop\n\t}
\tset bad {\n\t\ttype ipv4_addr\n\t\tsize 65535\n\t\tpolicy memory\n\t\tcounter\n\t\telements = { 192.0.2.1 counter packets 3 bytes 200,\n\t\t\t192.0.2.2 comment "x" }\n\t}
\tset unused {\n\t\ttype inet_service\n\t\telements = { 5 }\n\t}\n`;
    const text = listed('ip ttl 1 jump web\nudp dport 53 goto web\nip6 hoplimit 1 drop', { more, policy: 'drop' });
    expect(made(text)).toEqual([
      'ip ttl 1 tcp dport 80 class accepted',
      'ip ttl 1 ip saddr @bad drop',
      'udp dport 53 tcp dport 80 class accepted',
      'udp dport 53 ip saddr @bad drop',
      'udp dport 53 drop',
      'ip6 hoplimit 1 drop',
      'frame length >= 0 drop',
      'default hold',
    ]);
    const { text: result } = fromNft(text);
    expect(result).toContain(
      'set bad {\n  type ipv4_addr\n  size 65535\n  elements = { 192.0.2.1, 192.0.2.2 comment "x" }\n}',
    );
    expect(result).not.toContain('unused');
  });

  it('with a branch for each element of a verdict map', () => {
    const more =
      '\tmap ports {\n\t\ttype inet_service : verdict\n\t\telements = { 22 : accept, 80 : jump web }\n\t}\n\tchain web {\n\t\tip ttl 1 drop\n\t}\n';
    const text = listed(
      'ip saddr 192.0.2.1 tcp dport vmap @ports\nip saddr . udp dport vmap { 192.0.2.1 . 53 : drop, 192.0.2.0/24 . 67-68 : accept } comment "c"',
      { more },
    );
    expect(made(text).slice(0, -2)).toEqual([
      'ip saddr 192.0.2.1 tcp dport 22 class accepted',
      'ip saddr 192.0.2.1 tcp dport 80 ip ttl 1 drop',
      'ip saddr . udp dport 192.0.2.1 . 53 drop comment "c"',
      'ip saddr . udp dport 192.0.2.0/24 . 67-68 class accepted comment "c"',
    ]);
    expect(fromNft(text).taken).toBe(3);
  });

  it("that says 'ether type' for nft's words for families and protocols", () => {
    const text = listed(
      'meta nfproto ipv4 drop\nmeta nfproto { ipv4, ipv6 } tcp dport 5 accept\nmeta nfproto != ipv6 meta l4proto ipv6 drop\nmeta protocol { ip, arp } accept',
      { family: 'inet' },
    );
    expect(made(text).slice(0, 4)).toEqual([
      'ether type ip drop',
      'ether type { ip, ip6 } tcp dport 5 class accepted',
      'ether type != ip6 meta l4proto ipv6 drop',
      'ether type { ip, ip6 } ether type { ip, arp } class accepted',
    ]);
  });

  it("that asks for bits where nft's port is no port of ours", () => {
    expect(made(listed('th dport 53 drop\nmeta l4proto { tcp, udp } th sport { 53, 54 } drop')).slice(0, 2)).toEqual([
      '@th,16,16 53 drop',
      'meta l4proto { tcp, udp } th sport { 53, 54 } drop',
    ]);
    expect(made(listed('ip saddr . th dport { 192.0.2.1 . 53 } drop')).slice(0, 2)).toEqual([
      '# other than in nft: only of transports that have ports',
      'ip saddr . th dport { 192.0.2.1 . 53 } drop',
    ]);
  });

  it('with its definitions, but for a name that changes', () => {
    const rule = listed('tcp dport $ports accept');
    expect(made(`#!/usr/sbin/nft -f\nflush ruleset\ndefine ports = { 22, 80 }\n${rule}`)[0]).toBe(
      'tcp dport $ports class accepted',
    );
    expect(reasons(`define ports = 22\nredefine ports = 80\n${rule}`).join()).toContain('ports');
  });

  it('with a remark where only later fragments would match', () => {
    const why =
      "no whole packet and no first fragment has such an 'ip frag-off', and later fragments follow their first one";
    for (const match of ['ip frag-off & 0x1fff != 0', 'ip frag-off & 8191 > 0', 'ip frag-off 1-185']) {
      expect(made(listed(`${match} drop`)).slice(0, 2)).toEqual([
        `# other than in nft: never matches: ${why}`,
        `${match} drop`,
      ]);
      expect(fromNft(listed(`${match} drop`))).toMatchObject({ taken: 1, notTaken: [] });
    }
    expect(made(listed('ip frag-off & 0x3fff != 0 drop'))[0]).toBe('ip frag-off & 0x3fff != 0 drop');
  });

  it('with what dynamic sets have at the moment', () => {
    const more =
      '\tset live {\n\t\ttype ipv4_addr\n\t\tflags dynamic,timeout\n\t\ttimeout 1m\n\t\tgc-interval 10s\n\t\telements = { 192.0.2.1 timeout 30s expires 12s500ms, 192.0.2.2 expires 5s }\n\t}\n';
    const text = listed('ip saddr @live drop', { more });
    expect(fromNft(text).text).toContain('elements = { 192.0.2.1 timeout 12s500ms, 192.0.2.2 timeout 5s }');
    expect(made(text)[0]).toContain("# elements of 'live' come and go over the host interface");
  });
});

describe('what is not taken', () => {
  it.each([
    ['iifname "lo" accept', "'iifname' is not part of the language"],
    ['ct state established,related accept', "'ct' is not part of the language"],
    ['ct state vmap { established : accept, invalid : drop }', "'ct' is not part of the language"],
    ['tcp dport vmap { 22 : jump nowhere }', "there is no chain 'nowhere'"],
    ['tcp dport vmap { 22 : accept, * : drop }', "'*' has no equal here"],
    ['tcp dport vmap @nothing', 'its map is not there'],
    ['limit rate 5/second accept', "'limit' is not part of the language"],
    [
      'ether type vlan accept',
      "'ether type' is what stands behind the tags here: 'vlan id' tells whether there is one",
    ],
    [
      'ether type != 8021ad accept',
      "'ether type' is what stands behind the tags here: 'vlan id' tells whether there is one",
    ],
    ['meta nfproto ipv4 accept', "'meta nfproto' says nothing in a table of family netdev"],
    ['ip saddr @nothing drop', "there is no set 'nothing'"],
    ['jump out', "chain 'out' leads to itself"],
    ['jump { tcp dport 9 accept; }', "'jump' without a chain's name has no equal here"],
    ['tcp dport 5 accept drop', "'drop' stands behind the verdict"],
    ['tcp dport 5 % accept', 'it cannot be read'],
    ['ip saddr 192.0.2.1 masquerade', "'masquerade' is not part of the language"],
  ])('%s: with its line and why', (rule, why) => {
    const text = listed(`udp dport 5 accept\n${rule}`);
    const { notTaken, taken } = fromNft(text);
    expect(taken).toBe(1);
    expect(notTaken).toEqual([{ line: 5, text: expect.stringContaining(rule.slice(0, 12)), reason: why }]);
    expect(made(text)[1]).toContain('# not taken: ');
  });

  it('makes unsure what it may decide first, and nothing else', () => {
    const verdicts = (rules: string) =>
      made(listed(rules))
        .filter((line) => !line.startsWith('#'))
        .slice(0, -1)
        .map((line) => line.replace(/^.*(class \S+|drop)$/, '$1'));
    const below = 'tcp dport 1 accept\ntcp dport 2 drop';
    expect(verdicts(`ct state new accept\n${below}`)).toEqual([
      'class accepted',
      'class unsure-dropped',
      'class accepted',
    ]);
    expect(verdicts(`ct state new drop\n${below}`)).toEqual(['class unsure-accepted', 'drop', 'class unsure-accepted']);
    expect(verdicts(`${below}\nct state new drop`)).toEqual(['class accepted', 'drop', 'class unsure-accepted']);
    expect(verdicts(`ct mark set 5\nmeta mark set 5\nlimit rate 5/second\n${below}`)).toEqual([
      'class accepted',
      'drop',
      'class accepted',
    ]);
    for (const all of [
      'ip dscp set cs1',
      'ip saddr 192.0.2.1 dnat to 192.0.2.2',
      'queue num 1',
      'ct state vmap { new : accept, invalid : drop }',
    ]) {
      expect(verdicts(`${all}\n${below}`)).toEqual([
        'class unsure-accepted',
        'class unsure-dropped',
        'class unsure-accepted',
      ]);
    }
  });

  it.each([
    ['a rule that is cut off', 'tcp dport 22 acc', '# not taken: tcp dport 22 acc…', '6: the text ends in it'],
    ['a set that is cut off', 'tcp dport { 22, 80,\n', '# not taken: tcp dport { 22, 80,…', '6: the text ends in it'],
    ['a verdict that is cut off', 'jump', '# not taken: jump…', '6: the text ends in it'],
    ['a chain that is cut off', '', '# not taken: chain out…', '2: the text ends in it'],
    [
      'a string that is cut off',
      'udp dport 5 log prefix "x',
      '# not taken: udp dport 5 log prefix x',
      '6: it cannot be read',
    ],
  ])('makes unsure what %s may decide: all below it', (_, cut, line, reason) => {
    const whole = listed('tcp dport 1 accept\ntcp dport 2 drop', { policy: 'drop' });
    const text = `${whole.slice(0, whole.indexOf('\t}\n'))}${cut}`;
    expect(made(text).slice(0, 4)).toEqual([
      'tcp dport 1 class accepted',
      'tcp dport 2 drop',
      expect.stringContaining(line),
      'frame length >= 0 class unsure-dropped',
    ]);
    expect(reasons(text)).toEqual([reason]);
  });

  it('makes unsure what a chain, a set or a map that is cut off, or missing, may decide', () => {
    const first = (rule: string) => listed(`${rule}\ntcp dport 1 accept`).replace(/}\n$/, '');
    const decided = (text: string) => made(text).filter((line) => !line.startsWith('#'))[0];
    expect(decided(`${first('ip ttl 1 jump web')}chain web {\nreturn`)).toBe('tcp dport 1 class unsure-accepted');
    expect(decided(`${first('ct state new jump web')}`)).toBe('tcp dport 1 class unsure-accepted');
    expect(decided(`${first('ip saddr @bad drop')}set bad {\ntype ipv4_addr\n`)).toBe(
      'tcp dport 1 class unsure-accepted',
    );
    expect(decided(`${first('tcp dport vmap @m')}map m {\ntype inet_service : verdict\nelements = { 1 : accept`)).toBe(
      'tcp dport 1 class unsure-accepted',
    );
  });

  it('makes unsure what a rule may decide that is added to the chain, or put above it', () => {
    const text = listed('tcp dport 1 accept\ntcp dport 2 drop');
    const added = `${text}add rule netdev filter out ct state new drop\n`;
    expect(made(added).slice(0, 4)).toEqual([
      'tcp dport 1 class accepted',
      'tcp dport 2 drop',
      '# not taken: add rule netdev filter out ct state new drop',
      'frame length >= 0 class unsure-accepted',
    ]);
    expect(reasons(added)).toEqual(['8: only tables are read, as nft lists them']);
    expect(made(`${text}insert rule netdev filter out tcp dport 2 accept`).slice(0, 4)).toEqual([
      '# not taken: insert rule netdev filter out tcp dport 2 accept',
      'tcp dport 1 class accepted',
      'tcp dport 2 class unsure-dropped',
      'frame length >= 0 class accepted',
    ]);
    // A table without a family is one of IPv4; without such a chain nobody knows what becomes of it.
    expect(made(`${listed('tcp dport 1 accept', { family: 'ip' })}add rule filter out drop`)[1]).toContain('not taken');
    expect(made(`${text}add rule netdev filter nowhere drop`)[1]).toBe('tcp dport 2 class unsure-dropped');
  });

  it('makes unsure by what a chain that it jumps to may decide', () => {
    const more = '\tchain yes {\n\t\taccept\n\t}\n\tchain deep {\n\t\tjump yes\n\t\tjump deep\n\t}\n';
    const lines = made(listed('ct state new jump deep\ntcp dport 1 accept\ntcp dport 2 drop', { more }));
    expect(lines.slice(1, 3)).toEqual(['tcp dport 1 class accepted', 'tcp dport 2 class unsure-dropped']);
  });

  it("makes unsure the rest of a chain by 'return', and no more", () => {
    const more = '\tchain web {\n\t\tip ttl 1 return\n\t\ttcp dport 1 accept\n\t}\n';
    const lines = made(listed('ip saddr 192.0.2.1 jump web\ntcp dport 2 accept', { more }));
    expect(lines.filter((line) => !line.startsWith('#')).slice(0, 2)).toEqual([
      'ip saddr 192.0.2.1 tcp dport 1 class unsure-accepted',
      'tcp dport 2 class accepted',
    ]);
    expect(made(listed('ip ttl 1 return\ntcp dport 2 drop')).slice(0, 2)).toEqual([
      'ip ttl 1 class accepted',
      'tcp dport 2 drop',
    ]);
  });

  it('is said of other chains, of commands, and of sets', () => {
    const text = `${listed('accept', { family: 'inet', more: '\tset names {\n\t\ttype ifname\n\t}\n' })}table ip nat {\n\tchain post {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n\t\tmasquerade\n\t}\n}\nadd rule ip nat post drop\n`;
    expect(reasons(text)).toEqual([
      expect.stringMatching(/^2: .*ifname/),
      '11: only one chain becomes the outbound block; this one has 2 rules',
    ]);
    // What may be about this table is told, and makes all of it unsure.
    for (const command of ['flush ruleset', 'include "more.nft"', 'delete rule netdev filter out handle 5']) {
      const changed = `${listed('tcp dport 1 accept')}${command}\n`;
      expect(reasons(changed)).toEqual(['7: only tables are read, as nft lists them']);
      expect(made(changed).slice(0, 2)).toEqual([
        'tcp dport 1 class unsure-accepted',
        'frame length >= 0 class unsure-accepted',
      ]);
    }
    const elsewhere = `${listed('tcp dport 1 accept')}flush chain ip other out\nredefine a = 5\n`;
    expect(made(elsewhere).slice(0, 2)).toEqual(['tcp dport 1 class accepted', 'frame length >= 0 class accepted']);
  });

  it('does not count what only counts and writes logs', () => {
    const { notTaken, text } = fromNft(
      listed('counter packets 5 bytes 7\ntcp dport 5 log prefix "x"\nudp dport 5 drop'),
    );
    expect(notTaken).toEqual([]);
    expect(text).toContain('# decides nothing: tcp dport 5 log prefix "x"');
  });
});

describe('the chain', () => {
  const chain = (name: string, hook: string, rule: string) =>
    `\tchain ${name} {\n\t\ttype filter hook ${hook} priority filter; policy accept;\n\t\t${rule}\n\t}\n`;
  const text = `table inet filter {\n${chain('input', 'input', 'tcp dport 1 drop')}${chain('forward', 'forward', 'tcp dport 2 drop')}${chain('output', 'output', '')}}\n`;

  it('is the one that frames of the VM go through, if it has rules', () => {
    expect(fromNft(text).chain).toBe('inet filter forward');
    expect(reasons(text)).toEqual(['2: only one chain becomes the outbound block; this one has 1 rule']);
  });

  it.each(['input', 'filter input', 'inet filter  input'])('is the one that is named: %s', (name) => {
    expect(made(text, name)[0]).toBe('tcp dport 1 drop');
  });

  it('is never one of hook input that is not named', () => {
    const only = `table inet filter {\n${chain('input', 'input', 'tcp dport 1 drop')}`;
    const why =
      "chain 'inet filter input' is hooked at 'input', where no frame of the VM leaves: to take it all the same, say --chain 'inet filter input'";
    expect(() => fromNft(`${only}}\n`)).toThrow(new NftImportError(why));
    expect(() => fromNft(`table inet filter {\n${chain('input', 'input', '')}}\n`)).toThrow(new NftImportError(why));
    expect(made(`${only}}\n`, 'inet filter input')[0]).toBe('tcp dport 1 drop');
    // One without rules by which frames leave says what becomes of them: its policy.
    expect(fromNft(`${only}${chain('output', 'output', '')}}\n`).chain).toBe('inet filter output');
  });

  it.each<[string, string | null, string]>([
    [text, 'imput', "there is no chain 'imput': did you mean 'input'?"],
    [
      text,
      'xyz',
      "there is no chain 'xyz': there are 'inet filter input', 'inet filter forward', 'inet filter output'",
    ],
    [
      text + text.replace('inet', 'ip'),
      'input',
      "several chains are called 'input': 'inet filter input', 'ip filter input'",
    ],
    ['', null, "there is no chain in it: expected what 'nft list ruleset' prints"],
    ['{"nftables": []}', null, "this is nft's JSON: 'nft list ruleset' without -j"],
    [
      'table inet x {\n\tchain a {\n\t\taccept\n\t}\n}',
      null,
      "no chain of type filter has rules: name one with '--chain'",
    ],
    [
      `table inet x {\n\tflags dormant\n${chain('a', 'input', 'accept')}}`,
      'b',
      "there is no chain 'b': there are 'inet x a'",
    ],
  ])('that cannot be told is an error', (ruleset, name, message) => {
    expect(() => fromNft(ruleset, name)).toThrow(new NftImportError(message));
  });
});

describe('whatever the text, the import', () => {
  const WORDS = [
    'table',
    'inet',
    'chain',
    'a',
    '{',
    '}',
    'type filter hook output priority 0; policy drop;',
    'tcp dport',
    '22',
    'accept',
    'drop',
    'jump a',
    'vmap',
    ':',
    ',',
    '@a',
    'set a { type ipv4_addr; elements = { 192.0.2.1 } }',
    'ip saddr',
    '"',
    '#',
    '\n',
    ';',
    'return',
    'goto',
    'comment "x"',
    'counter',
    'log',
    'elements =',
    'map',
    'flags',
  ];

  it('makes a valid file or says why not', () => {
    const words = fc.array(fc.constantFrom(...WORDS), { maxLength: 40 }).map((list) => list.join(' '));
    const inside = words.map(
      (text) => `table inet t {\nchain a {\ntype filter hook output priority 0; policy drop;\n${text}\n}\n}`,
    );
    fc.assert(
      fc.property(fc.oneof(words, inside), (text) => {
        let result = '';
        try {
          result = fromNft(text).text;
        } catch (error) {
          if (!(error instanceof NftImportError)) throw error;
          return;
        }
        expect(parseRules(result, 'made').errors).toEqual([]);
      }),
      { numRuns: runs(1000), ...SEED },
    );
  });
});
