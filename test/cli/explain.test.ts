import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { frame } from '../../pcaps/build.ts';
import { block, fields, interfaceBlock, join, option, packetBlock, sectionHeader } from '../support/pcap-bytes.ts';
import { HOLDFAST, holdfast, jsonLines, pcapOf, TRACE_VM, TRACES, temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const VM = { src: '02:00:00:00:00:aa', dst: '02:00:00:00:00:bb' };
const RULES = folder.write(
  'test.rules',
  'class data pass\noutbound {\n  udp dport 9 drop\n  udp dport 4000 class data comment "media"\n  default class data\n}\n',
);

const tagged = frame()
  .eth(VM)
  .vlan(200, { pcp: 3 })
  .vlan(100)
  .ip4({ src: '192.0.2.10', dst: '192.0.2.1' })
  .tcp(80, 40_000, { flags: 0x12, seq: 4_294_967_295, ack: 7 })
  .payload('hello')
  .build();
const udp = frame().eth(VM).ip4({ src: '192.0.2.10', dst: '192.0.2.1' }).udp(5, 4000).payload('hi').build();
const udp6 = frame().eth(VM).ip6({ src: '2001:db8::10', dst: '2001:db8::1' }).udp(5, 9).payload('hi').build();
const arp = frame().eth({ src: '02:00:00:00:00:cc' }).arp({ senderIp: '192.0.2.10', senderMac: VM.src }).build();
const inbound = frame()
  .eth({ src: VM.dst, dst: VM.src })
  .ip4({ src: '192.0.2.1', dst: '192.0.2.10' })
  .udp(1, 2)
  .build();
const FRAMES = [tagged, udp, udp6, arp, inbound].map((bytes, i) => ({ bytes, atNs: i * 1_500_000_001 }));
const capture = folder.write('five.pcap', pcapOf(FRAMES));

const FIELDS = [
  ...['pkt', 'time', 'len', 'capLen', 'linkType', 'srcMac', 'dstMac', 'etherType', 'vlans', 'ipVersion', 'src', 'dst'],
  ...[
    'proto',
    'fragOffset',
    'moreFrags',
    'l4',
    'srcPort',
    'dstPort',
    'tcpFlags',
    'tcpSeq',
    'tcpAck',
    'payloadLen',
    'app',
  ],
  ...['direction', 'class', 'verdict', 'rule', 'reason'],
];

async function explained(...args: string[]) {
  const { code, stdout, stderr } = await holdfast(['explain', '--json', ...args]);
  expect([code, stderr]).toEqual([0, '']);
  return jsonLines(stdout);
}

describe('explain --json', () => {
  it('prints every field in its order, also where there is nothing to say', async () => {
    const lines = await explained(capture, '--rules', RULES, '--vm', VM.src);
    expect(lines).toHaveLength(FRAMES.length);
    for (const line of lines) expect(Object.keys(line)).toEqual(FIELDS);
    expect(lines[0]).toEqual({
      pkt: 1,
      time: '1700000000.000000000',
      len: tagged.length,
      capLen: tagged.length,
      linkType: 1,
      srcMac: VM.src,
      dstMac: VM.dst,
      etherType: 0x0800,
      vlans: [200, 100],
      ipVersion: 4,
      src: '192.0.2.10',
      dst: '192.0.2.1',
      proto: 6,
      fragOffset: 0,
      moreFrags: false,
      l4: 'tcp',
      srcPort: 80,
      dstPort: 40_000,
      tcpFlags: 0x12,
      tcpSeq: 4_294_967_295,
      tcpAck: 7,
      payloadLen: 5,
      app: null,
      direction: 'outbound',
      class: 'data',
      verdict: 'pass',
      rule: { handle: 3, line: 5, text: 'default class data' },
      reason: 'default',
    });
    expect(lines[1]).toMatchObject({
      time: '1700000001.500000001',
      class: 'data',
      verdict: 'pass',
      rule: { handle: 2, line: 4, text: 'udp dport 4000 class data comment "media"' },
      reason: 'rule',
      tcpFlags: null,
    });
    // A rule that names a verdict has no class; IPv6 without a fragment header has no fragment fields.
    expect(lines[2]).toMatchObject({ class: null, verdict: 'drop', reason: 'rule', ipVersion: 6, fragOffset: null });
    expect(lines[2]).toMatchObject({ moreFrags: null, src: '2001:db8::10', rule: { handle: 1, line: 3 } });
    expect(lines[3]).toMatchObject({ ipVersion: null, src: null, l4: null, proto: null, payloadLen: null, vlans: [] });
    expect(lines[4]).toMatchObject({
      direction: 'inbound',
      verdict: 'pass',
      class: null,
      rule: null,
      reason: 'inbound',
    });
  });

  it.each([
    ['a MAC address', '02:00:00:00:00:aa', [1, 2, 3, 4]],
    ['an IPv4 address, also as ARP sender', '192.0.2.10', [1, 2, 4]],
    ['an IPv6 address', '2001:db8::10', [3]],
    ['a prefix', '2001:db8::/64', [3]],
    ['an IPv4 prefix', '192.0.2.8/29', [1, 2, 4]],
    ['a prefix of everything', '0.0.0.0/0', [1, 2, 4, 5]],
    ['a MAC address that only ARP names', '02:00:00:00:00:cc', [4]],
    ['nobody', '198.51.100.1', []],
  ])('--vm with %s', async (_, address, outbound) => {
    const lines = await explained(capture, '--vm', address);
    expect(lines.filter(({ direction }) => direction === 'outbound').map(({ pkt }) => pkt)).toEqual(outbound);
  });

  it('takes several addresses, and without any every frame is outbound', async () => {
    const both = await explained(capture, '--vm', '2001:db8::10', '--vm', '192.0.2.1');
    expect(both.map(({ direction }) => direction)).toEqual(['inbound', 'inbound', 'outbound', 'inbound', 'outbound']);
    expect((await explained(capture)).every(({ direction }) => direction === 'outbound')).toBe(true);
  });

  it('names the file only with several captures, and counts each from 1', async () => {
    const lines = await explained(capture, `${TRACES}tls.pcap`, capture);
    expect(Object.keys(lines[0]!)).toEqual(['pkt', 'file', ...FIELDS.slice(1)]);
    expect(new Set(lines.map(({ file }) => file))).toEqual(new Set([capture, `${TRACES}tls.pcap`]));
    expect(lines.at(-1)).toMatchObject({ pkt: FRAMES.length, file: capture });
    // The same capture says the same again, whatever was read before it.
    expect(lines.slice(-FRAMES.length)).toEqual(lines.slice(0, FRAMES.length));
  });

  it('of another link type knows no field: dropped as not-ethernet, and outbound whoever the VM is', async () => {
    const raw = folder.write('raw.pcap', pcapOf([{ bytes: udp.slice(14) }], { linkType: 101 }));
    const [line] = await explained(raw, '--vm', VM.src);
    const empty = Object.fromEntries(FIELDS.slice(5).map((name) => [name, null]));
    expect(line).toEqual({
      ...empty,
      pkt: 1,
      time: '1700000000.000000000',
      len: udp.length - 14,
      capLen: udp.length - 14,
      linkType: 101,
      vlans: [],
      direction: 'outbound',
      verdict: 'drop',
      reason: 'not-ethernet',
    });
  });

  it('has no time where the record has none, and tells times before 1970 and far beyond', async () => {
    const offset = (seconds: bigint) => interfaceBlock({ options: option(14, fields(true, [8, seconds])) });
    const simple = block(3, fields(true, [4, udp.length], udp));
    const path = folder.write(
      'times.pcapng',
      join(
        sectionHeader(),
        interfaceBlock(),
        simple,
        offset(-2n),
        packetBlock(udp, { interfaceId: 1, ticks: 1_500_000n }),
        packetBlock(udp, { interfaceId: 1, ticks: 500_000n }),
        packetBlock(udp, { interfaceId: 1, ticks: 2_000_000n }),
        packetBlock(udp, { interfaceId: 0, ticks: 253_402_300_799_000_001n }),
      ),
    );
    const lines = await explained(path);
    expect(lines.map(({ time }) => time)).toEqual([
      null,
      '-0.500000000',
      '-1.500000000',
      '0.000000000',
      '253402300799.000001000',
    ]);
  });

  it('prints the same for a plain, a gzipped and a piped capture', async () => {
    const plain = await holdfast(['explain', '--json', capture]);
    const zipped = gzipSync(pcapOf(FRAMES));
    const packed = await holdfast(['explain', '--json', folder.write('five.gz', zipped)]);
    const piped = await holdfast(['explain', '--json', '-'], { stdin: pcapOf(FRAMES) });
    const pipedPacked = await holdfast(['explain', '--json', '-'], { stdin: zipped });
    for (const other of [packed, piped, pipedPacked]) expect(other).toEqual(plain);
  });

  it('says for a frame cut short by the capture how much of it there is', async () => {
    const path = folder.write('cut.pcap', pcapOf([{ bytes: udp }], { snapLength: 38 }));
    const [line] = await explained(path);
    expect(line).toMatchObject({ len: udp.length, capLen: 38, srcPort: 5, dstPort: 4000 });
  });
});

describe('explain for people', () => {
  it('prints a line per frame', async () => {
    const { stdout, code } = await holdfast(['explain', capture, '--rules', RULES, '--vm', VM.src]);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines[0]).toBe(
      '1 1700000000.000000000 out pass data default vlan 200 vlan 100 192.0.2.10.80 > 192.0.2.1.40000 tcp [SA] 5 B [5: default class data]',
    );
    expect(lines[4]).toMatch(/^5 \S+ in {2}pass inbound 192\.0\.2\.1\.1 > 192\.0\.2\.10\.2 udp 0 B$/);
  });

  it('--frame N shows fields, every rule tried and what decided', async () => {
    const { stdout, code } = await holdfast(['explain', capture, '--rules', RULES, '--frame', '2']);
    expect(code).toBe(0);
    const text = stdout.split('\n');
    expect(text[0]).toBe('frame 2: 192.0.2.10.5 > 192.0.2.1.4000 udp 2 B');
    expect(stdout).toContain('rule 1, line 3: udp dport 9 drop\n    no       udp.dport = 4000\n');
    expect(stdout).toContain('    yes      udp.dport = 4000\n  -> matches: it decides\n');
    expect(stdout).not.toContain('rule 3,');
    expect(stdout).toMatch(/verdict pass, reason rule: a rule matched\n$/);
  });

  it('--frame N of a later fragment names the rule that decided about its first one', async () => {
    const ip = { src: '192.0.2.10', dst: '192.0.2.1', id: 7 };
    const first = frame()
      .eth(VM)
      .ip4({ ...ip, moreFrags: true })
      .udp(5, 4000, { length: 24 })
      .payload(new Uint8Array(8));
    const later = (id: number) =>
      frame()
        .eth(VM)
        .ip4({ ...ip, id, fragOffset: 16, proto: 17 })
        .payload(new Uint8Array(8));
    const bytes = [first, later(7), later(8)].map((one) => one.build());
    const path = folder.write('fragments.pcap', pcapOf(bytes.map((one, i) => ({ bytes: one, atNs: i }))));
    const args = ['explain', path, '--rules', RULES, '--frame'];
    const { stdout } = await holdfast([...args, '2']);
    expect(stdout).toContain(
      'rule 2, line 4: udp dport 4000 class data comment "media"\n  -> decided about its first fragment, which it follows\n',
    );
    expect(stdout).toMatch(/\nverdict pass, reason fragment: [^\n]+\n$/);
    const rule = { handle: 2, line: 4, text: 'udp dport 4000 class data comment "media"' };
    expect(jsonLines((await holdfast([...args, '2', '--json'])).stdout)).toEqual([
      { pkt: 2, direction: 'outbound', verdict: 'pass', reason: 'fragment', rule, tried: [] },
    ]);
    // Of the first one it is the last that was tried, too; where none was seen there is no rule.
    expect(jsonLines((await holdfast([...args, '1', '--json'])).stdout)[0]).toMatchObject({ reason: 'rule', rule });
    const unknown = await holdfast([...args, '3']);
    expect(unknown.stdout).toMatch(/\nrules were not asked\nverdict hold, reason fragment-unknown: /);
    expect(jsonLines((await holdfast([...args, '3', '--json'])).stdout)[0]).toMatchObject({ rule: null, tried: [] });
  });

  it('--frame counts through all captures; beyond the last one there is none', async () => {
    const third = await holdfast(['explain', capture, capture, '--frame', '7']);
    expect(third.stdout).toMatch(/^frame 2 of \S+: /);
    const beyond = await holdfast(['explain', capture, '--frame', '6']);
    expect(beyond).toMatchObject({
      code: 2,
      stdout: '',
      stderr: 'holdfast: there is no frame 6: the captures hold 5\n',
    });
  });
});

describe('a damaged capture', () => {
  it('keeps its good prefix; the damage is told with its byte offset, exit 1', async () => {
    const whole = pcapOf(FRAMES);
    const path = folder.write('damaged.pcap', whole.slice(0, -7));
    for (const command of ['explain', 'replay']) {
      const { code, stdout, stderr } = await holdfast([command, '--json', path]);
      const lines = jsonLines(stdout);
      expect(command === 'explain' ? lines.length : lines[0]!.frames).toBe(FRAMES.length - 1);
      const offset = whole.length - inbound.length - 16;
      expect(stderr).toMatch(new RegExp(`^holdfast: ${path}: damaged at byte ${offset}: [^\\n]+\\n$`));
      expect(code).toBe(1);
    }
  });

  it('does not keep the next capture from being explained', async () => {
    const path = folder.write('damaged2.pcap', pcapOf(FRAMES).slice(0, -7));
    const { code, stdout } = await holdfast(['explain', '--json', path, capture]);
    expect(code).toBe(1);
    expect(jsonLines(stdout)).toHaveLength(2 * FRAMES.length - 1);
  });

  it('of a gzip stream that breaks off counts the unpacked bytes', async () => {
    const packed = gzipSync(pcapOf(Array.from({ length: 50 }, () => ({ bytes: tagged }))), { level: 0 });
    const path = folder.write('broken.gz', packed.subarray(0, packed.length - 40));
    const { code, stderr } = await holdfast(['explain', '--json', path]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^holdfast: \S+: damaged at byte \d+: gzip stream is damaged: [^\n]+\n$/);
  });
});

it('a reader that goes away ends the command quietly', async () => {
  const child = spawn(process.execPath, [
    HOLDFAST,
    'explain',
    '--json',
    `${TRACES}sip-rtp-call.pcapng`,
    '--vm',
    TRACE_VM,
  ]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [code] = await once(child, 'close');
  expect([code, stderr]).toEqual([0, '']);
});
