import { describe, expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { textOfIp } from '../../gateway/ip-bytes.ts';
import { LEARNED, MAX_MEMBERSHIPS } from '../../gateway/memberships.ts';
import { OwnAddresses } from '../../gateway/own-addresses.ts';
import { igmpFrame, igmpRecords, mldFrame, mldRecords, RECORD } from '../support/group-frames.ts';
import { arpFrame, batchOf, ndFrame, OTHER_MAC, VM_IP4, VM_IP6 } from '../support/neighbour-frames.ts';

const G4 = '239.1.2.3';
const H4 = '239.9.9.9';
const G6 = 'ff15::123';
const H6 = 'ff02::1:ff00:a';

function hear(own: OwnAddresses, ...frames: readonly Uint8Array[]): OwnAddresses {
  for (const bytes of frames) own.left(batchOf(bytes), 0);
  return own;
}

function heardNothing(clock = new VirtualClock()): OwnAddresses {
  return new OwnAddresses(clock);
}

/** Of a VM that has told its neighbours of itself. */
function heard(...frames: readonly Uint8Array[]): OwnAddresses {
  return hear(heardNothing(), arpFrame(), ndFrame(), ...frames);
}

/** Each membership as text, with what is out of the ordinary. */
function list(own: OwnAddresses): string[] {
  return own.toAnnounce().memberships.map(({ group, ip, version, sources, tags, pair }) => {
    const from = textOfIp(ip);
    const more = [
      from === VM_IP4 || from === VM_IP6 ? '' : `by ${from}`,
      sources.length === 0 ? '' : `from ${sources.map(textOfIp)}`,
      ...tags.map((tag) => (tag >>> 0).toString(16)),
      pair === 0 ? '' : `pair ${pair}`,
    ];
    return [textOfIp(group), `v${version}`, ...more.filter((word) => word !== '')].join(' ');
  });
}

describe('what the VM has joined', () => {
  test.each([
    ['an IGMPv1 report', igmpFrame(0x12, G4), [`${G4} v1`]],
    ['an IGMPv2 report', igmpFrame(0x16, G4), [`${G4} v2`]],
    ['an MLDv1 report', mldFrame(131, G6), [`${G6} v1`]],
    ['an IGMPv3 answer', igmpRecords([[RECORD.isExclude, G4]]), [`${G4} v3`]],
    ['an IGMPv3 change', igmpRecords([[RECORD.toExclude, G4]]), [`${G4} v3`]],
    ['an MLDv2 answer', mldRecords([[RECORD.isExclude, G6]]), [`${G6} v2`]],
    ['an MLDv2 change', mldRecords([[RECORD.toExclude, G6]]), [`${G6} v2`]],
    ['what excludes sources', igmpRecords([[RECORD.toExclude, G4, ['192.0.2.1']]]), [`${G4} v3`]],
    ['what includes sources', igmpRecords([[RECORD.toInclude, G4, ['192.0.2.1']]]), [`${G4} v3 from 192.0.2.1`]],
    ['the same as an answer', mldRecords([[RECORD.isInclude, G6, ['2001:db8::1']]]), [`${G6} v2 from 2001:db8::1`]],
    ['new sources alone', igmpRecords([[RECORD.allow, G4, ['192.0.2.1']]]), [`${G4} v3 from 192.0.2.1`]],
    [
      'several records, with auxiliary data and with a type that nobody knows',
      mldRecords([
        [RECORD.toExclude, G6, ['2001:db8::1'], 3],
        [9, 'ff15::9'],
        [RECORD.toExclude, H6],
      ]),
      [`${G6} v2`, `${H6} v2`],
    ],
  ])('is told by %s', (_, bytes, expected) => {
    expect(list(heard(bytes))).toEqual(expected);
  });

  test('is reported in the version and by the address of its last report', () => {
    const own = heard(arpFrame({ senderIp: '10.0.0.11' }), igmpRecords([[RECORD.toExclude, G4]]), igmpFrame(0x16, G4));
    expect(list(own)).toEqual([`${G4} v2`]);
  });

  test('is known by pair of ports and VLAN', () => {
    const tags = [{ id: 7, tpid: 0x88a8 }, { id: 5 }];
    const own = heard(arpFrame({ tags }), ndFrame({ tags }), igmpFrame(0x16, G4), igmpFrame(0x16, G4, { tags }));
    hear(own, mldFrame(131, G6, { tags }));
    for (const bytes of [arpFrame(), igmpFrame(0x16, G4)]) own.left(batchOf(bytes, 2), 0);
    expect(list(own)).toEqual([
      `${G4} v2`,
      `${G4} v2 88a80007 81000005`,
      `${G6} v1 88a80007 81000005`,
      `${G4} v2 pair 2`,
    ]);
    expect(list(hear(own, igmpFrame(0x17, G4, { tags })))).toEqual([
      `${G4} v2`,
      `${G6} v1 88a80007 81000005`,
      `${G4} v2 pair 2`,
    ]);
  });

  test('is reported with the priority of its last report', () => {
    const of = (pcp: number) => ({ tags: [{ id: 5, pcp }] });
    const own = heard(arpFrame(of(0)), igmpFrame(0x16, G4, of(0)), igmpFrame(0x16, G4, of(3)));
    expect(list(own)).toEqual([`${G4} v2 81006005`]);
  });

  test.each([
    ['IGMPv2', igmpFrame(0x17, G4)],
    ['IGMPv3', igmpRecords([[RECORD.toInclude, G4]])],
    ['MLDv1', mldFrame(132, G6)],
    ['MLDv2', mldRecords([[RECORD.toInclude, G6]])],
  ])('is left by %s', (_, bytes) => {
    const own = heard(igmpFrame(0x16, H4), igmpFrame(0x16, G4), mldFrame(131, G6));
    const rest = list(hear(own, bytes));
    expect(rest).toHaveLength(2);
    expect(rest[0]).toBe(`${H4} v2`);
  });

  test('loses and gains sources, and is left with the last one', () => {
    const own = heard(igmpRecords([[RECORD.allow, G4, ['192.0.2.1']]]));
    hear(own, igmpRecords([[RECORD.allow, G4, ['192.0.2.1', '192.0.2.2']]]));
    expect(list(own)).toEqual([`${G4} v3 from 192.0.2.1,192.0.2.2`]);
    hear(own, igmpRecords([[RECORD.block, G4, ['192.0.2.1']]]));
    expect(list(own)).toEqual([`${G4} v3 from 192.0.2.2`]);
    expect(list(hear(own, igmpRecords([[RECORD.block, G4, ['192.0.2.2']]])))).toEqual([]);
    expect(list(hear(own, igmpRecords([[RECORD.block, G4, ['192.0.2.2']]])))).toEqual([]);
  });

  test('stays for anybody where single sources come and go, or are too many', () => {
    const own = heard(igmpRecords([[RECORD.toExclude, G4]]), igmpRecords([[RECORD.block, G4, ['192.0.2.2']]]));
    expect(list(hear(own, igmpRecords([[RECORD.allow, G4, ['192.0.2.2']]])))).toEqual([`${G4} v3`]);
    const many = Array.from({ length: 9 }, (_, n) => `192.0.2.${n}`);
    expect(list(heard(igmpRecords([[RECORD.toInclude, G4, many]])))).toEqual([`${G4} v3`]);
  });

  test.each([
    ['new sources', RECORD.allow, ['192.0.2.2'], '192.0.2.1,192.0.2.2'],
    ['sources that it wants no more', RECORD.block, ['192.0.2.9'], '192.0.2.1'],
    ['what nobody knows', 9, [], '192.0.2.1'],
  ])('from before there was an address, stays where a report with one tells of %s', (_, type, sources, expected) => {
    const own = heard(igmpRecords([[RECORD.toInclude, G4, ['192.0.2.1']]], { from: '0.0.0.0' }));
    expect(list(hear(own, igmpRecords([[type, G4, sources]])))).toEqual([`${G4} v3 from ${expected}`]);
  });

  test('names no groups as sources', () => {
    const groups = Array.from({ length: 9 }, (_, n) => `239.0.0.${n}`);
    const own = heard(igmpRecords([[RECORD.toInclude, G4, [...groups, '192.0.2.1']]]));
    hear(own, mldRecords([[RECORD.allow, G6, ['ff02::1', '2001:db8::1']]]));
    const expected = [`${G4} v3 from 192.0.2.1`, `${G6} v2 from 2001:db8::1`];
    expect(list(own)).toEqual(expected);
    expect(list(hear(own, igmpRecords([[RECORD.toInclude, G4, groups]])))).toEqual(expected.reverse());
    hear(own, mldRecords([[RECORD.allow, H6, ['ff02::1']]]), igmpRecords([[RECORD.toInclude, H4, groups]]));
    expect(list(own)).toEqual(expected);
  });

  test('is one thing, however often it is told', () => {
    const frames = [igmpFrame(0x16, G4), mldRecords([[RECORD.isExclude, G6]])];
    expect(list(heard(...frames, ...frames))).toHaveLength(2);
  });
});

describe('whose it is', () => {
  test.each([
    ['another IPv4 address', igmpFrame(0x16, G4, { from: '10.0.0.77' })],
    ['another machine', igmpFrame(0x16, G4, { from: '10.0.0.77', src: OTHER_MAC })],
    ['another machine, by IPv6', mldFrame(131, G6, { from: 'fe80::77', src: OTHER_MAC })],
    ['another machine that has no address', mldFrame(131, G6, { from: '::', src: OTHER_MAC })],
    ['the VM, in a VLAN where it is not', igmpFrame(0x16, G4, { tags: [{ id: 5 }] })],
  ])('is not the VM’s where the report is from %s', (_, bytes) => {
    const own = heard(bytes);
    expect(list(own)).toEqual([]);
    expect(list(hear(own, igmpFrame(0x16, G4), mldFrame(131, G6), bytes))).toEqual([`${G4} v2`, `${G6} v1`]);
  });

  test('is the VM’s once it has told of its address', () => {
    const own = hear(heardNothing(), igmpFrame(0x16, G4), mldFrame(131, G6));
    expect(list(own)).toEqual([]);
    expect(list(hear(own, arpFrame()))).toEqual([`${G4} v2`, `${G6} v1`]);
    own.came(batchOf(arpFrame({ src: OTHER_MAC })), 0);
    expect(list(own)).toEqual([]);
  });

  test('another’s leave takes nothing from the VM', () => {
    const own = heard(igmpFrame(0x16, G4));
    expect(list(hear(own, igmpFrame(0x17, G4, { from: '10.0.0.77' })))).toEqual([`${G4} v2`]);
  });

  test('what was joined before there was an address is told with the one that there is since, once', () => {
    const own = hear(heardNothing(), igmpFrame(0x16, G4, { from: '0.0.0.0' }), mldFrame(131, G6, { from: '::' }));
    expect(list(own)).toEqual([]);
    expect(list(hear(own, arpFrame()))).toEqual([`${G4} v2`, `${G6} v1 by ::`]);
    expect(list(hear(own, ndFrame()))).toEqual([`${G4} v2`, `${G6} v1`]);
    expect(list(hear(own, igmpFrame(0x16, G4), mldFrame(131, G6)))).toEqual([`${G4} v2`, `${G6} v1`]);
    const last = hear(heardNothing(), arpFrame(), mldFrame(131, G6, { from: '::' }), mldFrame(131, G6));
    expect(list(last), 'by its last report').toEqual([`${G6} v1`]);
  });
});

describe('nothing is learned where', () => {
  const v3 = igmpRecords([[RECORD.toExclude, G4, ['192.0.2.1']]]);
  const v2 = mldRecords([[RECORD.toExclude, G6, ['2001:db8::1']]]);

  test.each([
    ['its checksum is wrong', igmpFrame(0x16, G4, { checksum: 1 })],
    ['its checksum is wrong, by MLD', mldFrame(131, G6, { checksum: 1 })],
    ['it is a fragment', igmpFrame(0x16, G4, { moreFrags: true })],
    ['it is a query', igmpFrame(0x11, G4)],
    ['it is a query, by MLD', mldFrame(130, G6)],
    ['no group is named', igmpFrame(0x16, '10.0.0.1')],
    ['no group is named, by MLD', mldFrame(131, 'fe80::1')],
    ['it is from a group', igmpFrame(0x16, G4, { from: '224.0.0.1' })],
    ['it is from a group’s link-layer address', igmpFrame(0x16, G4, { src: '03:00:00:00:00:0a' })],
    ['it is from farther than the link', mldFrame(131, G6, { hops: 2 })],
    ['it is from no link-local address', mldFrame(131, G6, { from: '2001:db8::a' })],
    ['there is no record', igmpRecords([])],
    ['a record is counted that is not there', igmpRecords([], {}, 1)],
    ['a record has another type', igmpRecords([[7, G4]])],
    ['auxiliary data are cut', truncated(igmpRecords([[RECORD.toExclude, G4, [], 2]]), 4)],
  ])('%s', (_, bytes) => {
    expect(list(heard(bytes))).toEqual([]);
  });

  test('a frame is cut, wherever that is', () => {
    for (const bytes of [igmpFrame(0x16, G4), v3, mldFrame(131, G6), v2]) {
      expect(list(heard(bytes))).toHaveLength(1);
      for (let length = 1; length < bytes.length; length++) {
        expect(list(heard(bytes.subarray(0, length))), `${length} bytes`).toEqual([]);
      }
    }
  });

  test.each([
    ['IGMP', v3, 14 + 24],
    ['MLD', v2, 14 + 48],
  ])('any byte of the message is another, by %s', (_, bytes, message) => {
    for (let at = message; at < bytes.length; at++) {
      const changed = bytes.slice();
      changed[at]! ^= 0x80;
      expect(list(heard(changed)), `byte ${at}`).toEqual([]);
    }
  });
});

test('the records before one that is cut count', () => {
  const bytes = igmpRecords([[RECORD.toExclude, G4]], {}, 2);
  expect(list(heard(bytes))).toEqual([`${G4} v3`]);
});

test('bytes behind the packet are none of its records', () => {
  const bytes = Uint8Array.from([...igmpRecords([[RECORD.toExclude, G4]], {}, 2), 4, 0, 0, 0, 239, 9, 9, 9]);
  expect(list(heard(bytes))).toEqual([`${G4} v3`]);
});

test('of more memberships than there may be the one that was reported longest ago goes', () => {
  const group = (n: number) => `239.1.${n >> 8}.${n & 255}`;
  const clock = new VirtualClock();
  const own = hear(heardNothing(clock), arpFrame());
  for (let n = 0; n < MAX_MEMBERSHIPS; n++) hear(own, igmpFrame(0x16, group(n)));
  clock.advanceTo(LEARNED.spanNs);
  hear(own, igmpFrame(0x16, group(0)), igmpFrame(0x16, G4));
  const groups = list(own);
  expect(groups).toHaveLength(MAX_MEMBERSHIPS);
  expect(groups).not.toContain(`${group(1)} v2`);
  expect(groups.slice(-2)).toEqual([`${group(0)} v2`, `${G4} v2`]);
});

describe('of more records than may be learned at a time', () => {
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => [RECORD.toExclude, `239.1.${n >> 8}.${n & 255}`] as const);

  test.each([
    ['records of one report', [igmpRecords(many(1121))]],
    ['records of many', many(300).map((record) => igmpRecords([record]))],
    ['older reports', many(300).map(([, group]) => igmpFrame(0x16, group))],
  ])('the first are, and others later: %s', (_, frames) => {
    const clock = new VirtualClock();
    const own = hear(heardNothing(clock), arpFrame(), ndFrame(), ...frames);
    const groups = many(LEARNED.records).map(([, group]) => group);
    expect(list(own).map((one) => one.split(' ')[0])).toEqual(groups);
    clock.advanceTo(LEARNED.spanNs - 1);
    expect(list(hear(own, mldFrame(131, G6)))).not.toContain(`${G6} v1`);
    clock.advanceTo(LEARNED.spanNs);
    expect(list(hear(own, mldFrame(131, G6))).at(-1)).toBe(`${G6} v1`);
  });

  test('those are some that say nothing', () => {
    const own = heard(...Array<Uint8Array>(LEARNED.records).fill(igmpRecords([])));
    expect(list(hear(own, igmpFrame(0x16, G4)))).toEqual([]);
  });
});

test('what another gateway learned is known here, and what the VM said here counts more', () => {
  const there = heard(igmpFrame(0x16, G4), igmpFrame(0x16, H4)).toAnnounce();
  const own = hear(heardNothing(), igmpRecords([[RECORD.toExclude, G4]]));
  own.adopt(there.addresses, there.memberships);
  expect(list(own)).toEqual([`${G4} v3`, `${H4} v2`]);
});

/** @returns an IPv4 frame without its last bytes, whose length says so and whose message's checksum is right */
function truncated(bytes: Uint8Array, less: number): Uint8Array {
  const cut = Buffer.from(bytes.subarray(0, bytes.length - less));
  cut.writeUInt16BE(cut.readUInt16BE(16) - less, 16);
  return cut;
}
