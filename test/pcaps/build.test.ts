import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as pathJoin } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FrameBuilder, frame } from '../../pcaps/build.ts';
import { crc32c, internetChecksum, ip6Bytes } from '../../pcaps/build-bytes.ts';
import { PcapWriter } from '../../pcaps/pcap-writer.ts';

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

describe('the frame builder', () => {
  test('a SIP datagram over two tags, byte by byte', () => {
    const bytes = frame()
      .eth({ src: '02:00:00:00:00:01', dst: '02:00:00:00:00:02' })
      .vlan(20, { tpid: 0x88a8 })
      .vlan(10, { pcp: 5, dei: true })
      .ip4({ src: '192.0.2.1', dst: '198.51.100.2', id: 7, dontFragment: true })
      .udp(5060, 5061)
      .payload('SIP')
      .build();
    expect(hex(bytes)).toBe(
      [
        '020000000002' + '020000000001' + '88a8' + '0014' + '8100' + 'b00a' + '0800',
        '4500001f' + '00074000' + '40114e90' + 'c0000201' + 'c6336402',
        '13c413c5' + '000b' + '48ce' + '534950',
      ].join(''),
    );
  });

  test('a TCP segment with options and flags by name', () => {
    const bytes = frame()
      .tcp(80, 1024, {
        flags: 'syn ack',
        seq: 0xdeadbeef,
        ack: 1,
        window: 512,
        options: Uint8Array.of(2, 4, 5, 0xb4, 1),
      })
      .build();
    expect(hex(bytes)).toBe(
      '00500400' + 'deadbeef' + '00000001' + '7012' + '0200' + '00000000' + '020405b4' + '01000000',
    );
    expect(() => frame().tcp(1, 2, { flags: 'sin' }).build()).toThrow('not a TCP flag: sin');
  });

  test('an ARP request, filled up as a NIC does', () => {
    const bytes = frame().eth({ dst: 'ff:ff:ff:ff:ff:ff' }).arp({ senderIp: '192.0.2.7' }).padTo(60).build();
    expect(bytes).toHaveLength(60);
    expect(hex(bytes.subarray(12, 42))).toBe(
      '0806' + '0001080006040001' + '020000000001' + 'c0000207' + '000000000000' + 'c6336402',
    );
  });

  test('an 802.3 length in place of a type before LLC and SNAP', () => {
    expect(hex(frame().eth().llc({ dsap: 0x42 }).payload('abc').build().subarray(12))).toBe('0006424203616263');
    expect(hex(frame().eth().vlan(5).snap().ip4().build().subarray(12, 27))).toBe(
      '810000050' + '01caaaa03000000080045',
    );
  });

  test('a label stack, of which only the last entry says that it is', () => {
    const bytes = frame().eth().mpls(0xabcde, { trafficClass: 5, ttl: 255 }).mpls(16).ip4().build();
    expect(hex(bytes.subarray(12, 23))).toBe('8847' + 'abcdeaff' + '00010140' + '45');
    const told = frame().eth().mpls(3, { bottom: true, type: 0x8848 }).mpls(4, { bottom: false }).payload('x').build();
    expect(hex(told.subarray(12))).toBe('8848' + '00003140' + '00004040' + '78');
  });

  test('a PPPoE session, whose length counts the PPP protocol number', () => {
    expect(hex(frame().eth().pppoe({ session: 0x1234 }).ip4().build().subarray(12, 23))).toBe(
      '8864' + '110012340016' + '0021' + '45',
    );
    expect(hex(frame().pppoe().ip6().build().subarray(0, 9))).toBe('11000001002a' + '0057' + '60');
    expect(hex(frame().pppoe().payload('abc').build())).toBe('110000010005' + 'c021' + '616263');
    const lies = frame().pppoe({ version: 2, type: 3, code: 9, length: 7, protocol: 0x0281 }).payload('x').build();
    expect(hex(lies)).toBe('230900010007' + '0281' + '78');
  });

  test('SCTP chunks one after another, padded to 4 bytes', () => {
    const bytes = frame().sctp(1, 2).chunk(3, { flags: 1, value: 'abcde' }).chunk(11).build();
    expect(hex(bytes.subarray(12))).toBe('03010009' + '6162636465000000' + '0b000004');
    expect(
      hex(
        frame()
          .chunk(0, { length: 99, value: Uint8Array.of(7) })
          .build(),
      ),
    ).toBe('00000063' + '07000000');
  });

  test('IPv6 extension headers name one another and keep to 8 bytes', () => {
    const bytes = frame()
      .ip6()
      .hopopts({ options: Uint8Array.of(5, 2, 0, 0) })
      .routing({ type: 4, segmentsLeft: 1, addresses: ['2001:db8::9'] })
      .fragment({ offset: 1232, more: true, id: 0x01020304 })
      .ah({ spi: 9 })
      .dstopts()
      .icmpv6({ type: 135 })
      .build();
    expect(hex(bytes.subarray(0, 8))).toBe('6000000000' + '50' + '0040');
    expect(hex(bytes.subarray(40, 48))).toBe('2b00050200000100');
    expect(hex(bytes.subarray(48, 56))).toBe('2c02040100000000');
    expect(hex(bytes.subarray(72, 80))).toBe('330004d101020304');
    expect(hex(bytes.subarray(80, 92))).toBe('3c0400000000000900000001');
    expect(hex(bytes.subarray(104, 112))).toBe('3a00010400000000');
  });

  test('a lie is written as told', () => {
    const bytes = frame()
      .eth({ type: 0x1234 })
      .ip4({ totalLength: 9, headerLength: 15, checksum: 0xabcd, version: 7, proto: 200 })
      .udp(1, 2, { length: 3, checksum: 0x5555 })
      .build();
    expect(hex(bytes.subarray(12, 26))).toBe('1234' + '7f00000900000000' + '40c8abcd');
    expect(hex(bytes.subarray(34))).toBe('0001000200035555');
  });

  test('a frame that is cut still tells the lengths of the whole', () => {
    const bytes = frame().eth().ip4().udp(1, 2).payload('0123456789').truncateTo(36).build();
    expect(bytes).toHaveLength(36);
    expect(hex(bytes.subarray(16, 18))).toBe('0026');
  });

  test('each build is a new array', () => {
    const builder = frame().eth().arp();
    expect(builder.build()).toEqual(builder.build());
    expect(builder.build()).not.toBe(builder.build());
  });

  test('IPv6 addresses as people write them', () => {
    expect(hex(ip6Bytes('::'))).toBe('0'.repeat(32));
    expect(hex(ip6Bytes('::1'))).toBe(`${'0'.repeat(31)}1`);
    expect(hex(ip6Bytes('fe80::'))).toBe(`fe80${'0'.repeat(28)}`);
    expect(hex(ip6Bytes('1:2:3:4:5:6:7:8'))).toBe('00010002000300040005000600070008');
    for (const wrong of ['', '1:2:3:4:5:6:7', '1::2::3', '1:2:3:4:5:6:7:8:9', '1:2:3:4::5:6:7:8', 'g::', '12345::']) {
      expect(() => ip6Bytes(wrong)).toThrow('not an IPv6 address');
    }
  });

  test('addresses that are none', () => {
    for (const src of ['1.2.3', '1.2.3.256', '1.2.3.x', '1.2.3.4.5']) {
      expect(() => frame().ip4({ src })).toThrow(`not an IPv4 address: ${src}`);
    }
    for (const src of ['02:00:00:00:00', '02:00:00:00:00:0g', '020000000001']) {
      expect(() => frame().eth({ src }).build()).toThrow(`not a MAC address: ${src}`);
    }
  });

  test('published checksum examples', () => {
    // RFC 1071 §3 (its sum is ddf2), and the check value of CRC-32C.
    expect(internetChecksum(Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7))).toBe(0xffff - 0xddf2);
    expect(hex(crc32c(Buffer.from('123456789')))).toBe('839206e3');
  });
});

const noTshark = spawnSync('tshark', ['--version']).status !== 0;

describe('tshark on built frames', () => {
  beforeEach(({ skip }) => skip(noTshark, 'tshark is not installed'));

  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(pathJoin(tmpdir(), 'holdfast-build-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const built: readonly (readonly [string, FrameBuilder])[] = [
    ['eth:ethertype:arp', frame().eth().arp({ operation: 2 })],
    ['eth:ethertype:vlan:ethertype:ip:udp:data', frame().eth().vlan(10).ip4().udp(40_000, 40_001).payload('odd')],
    [
      'eth:ethertype:ip:tcp',
      frame()
        .eth()
        .ip4({ options: Uint8Array.of(1, 1, 1) })
        .tcp(40_000, 40_001, { flags: 'syn' }),
    ],
    ['eth:ethertype:ipv6:tcp:data', frame().eth().ip6().tcp(40_000, 40_001, { flags: 'psh ack' }).payload('hello')],
    [
      'eth:ethertype:ipv6:ipv6.hopopts:ipv6.dstopts:udp:data',
      frame().eth().ip6().hopopts().dstopts().udp(40_000, 40_001).payload('a'),
    ],
    ['eth:ethertype:ip:udplite:data', frame().eth().ip4().udplite(40_000, 40_001, { coverage: 8 }).payload('hello')],
    ['eth:ethertype:ip:sctp', frame().eth().ip4().sctp(40_000, 40_001).chunk(11)],
    ['eth:ethertype:mpls:ip:udp:data', frame().eth().mpls(100).mpls(200).ip4().udp(40_000, 40_001).payload('a')],
    ['eth:ethertype:mpls:ipv6:udp:data', frame().eth().mpls(100).ip6().udp(40_000, 40_001).payload('a')],
    ['eth:ethertype:pppoes:ppp:ip:udp:data', frame().eth().pppoe().ip4().udp(40_000, 40_001).payload('a')],
    ['eth:ethertype:pppoes:ppp:ipv6:udp:data', frame().eth().pppoe().ip6().udp(40_000, 40_001).payload('a')],
    ['eth:ethertype:ip:dccp', frame().eth().ip4().dccp(40_000, 40_001).payload('hello')],
    ['eth:ethertype:ip:icmp:data', frame().eth().ip4().icmp({ rest: 0x0001_0002 }).payload('ping!')],
    ['eth:ethertype:ipv6:icmpv6:data', frame().eth().ip6().icmpv6({ rest: 0x0001_0002 }).payload('ping!')],
    ['eth:ethertype:ip:igmp', frame().eth().ip4({ ttl: 1 }).igmp({ rest: 0xe000_0105 })],
    ['eth:ethertype:ip:esp', frame().eth().ip4().esp({ spi: 0x1000 }).payload('sixteen bytes...')],
    ['eth:ethertype:ip:ah:udp:data', frame().eth().ip4().ah().udp(40_000, 40_001).payload('a')],
    ['eth:ethertype:ip:ip:udp:data', frame().eth().ip4().ip4().udp(40_000, 40_001).payload('a')],
    [
      'eth:llc:stp',
      frame()
        .eth({ dst: '01:80:c2:00:00:00' })
        .llc()
        .payload(Uint8Array.of(0, 0, 0, 0x80)),
    ],
  ];

  test('finds every header where it should be, and every checksum good', () => {
    const file = pathJoin(folder, 'built.pcap');
    const chunks: Uint8Array[] = [];
    const writer = new PcapWriter((chunk) => chunks.push(chunk.slice()));
    for (const [, builder] of built) {
      const bytes = builder.build();
      writer.writePacket(1, 0, bytes, 0, bytes.length, bytes.length);
    }
    writer.flush();
    writeFileSync(file, Buffer.concat(chunks));
    const CHECKED = ['ip', 'tcp', 'udp', 'sctp', 'dccp', 'icmp', 'icmpv6', 'igmp'];
    const preferences = ['ip.check_checksum:TRUE', 'tcp.check_checksum:TRUE', 'udp.check_checksum:TRUE'].concat(
      'udplite.check_checksum:TRUE',
      'sctp.checksum:CRC 32c',
    );
    const out = execFileSync(
      'tshark',
      ['-n', '-r', file]
        .concat(preferences.flatMap((preference) => ['-o', preference]))
        .concat('-T', 'fields', '-e', 'frame.protocols')
        .concat(CHECKED.flatMap((name) => ['-e', `${name}.checksum.status`])),
      { encoding: 'utf8', env: { ...process.env, HOME: folder }, stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const rows = out
      .split('\n')
      .slice(0, -1)
      .map((line) => line.split('\t'));
    // Versions differ in what they make of the payload, so the headers before it are compared.
    expect(rows.map(([protocols], i) => protocols?.slice(0, built[i]?.[0].length))).toEqual(
      built.map(([stack]) => stack),
    );
    // 1 is good; nothing where the protocol is absent. 0 is bad, 2 unverified.
    const statuses = rows.map((row) =>
      row.slice(1).flatMap((cell) => cell.split(',').filter((status) => status !== '')),
    );
    for (const [i, status] of statuses.entries()) {
      expect([built[i]![0], ...new Set(status)]).toEqual([built[i]![0], ...(status.length === 0 ? [] : ['1'])]);
    }
    expect(statuses.flat().length).toBeGreaterThan(20);
  });
});
