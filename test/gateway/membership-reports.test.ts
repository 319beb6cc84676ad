import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { slabOf } from '../../classifier/slab.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { REPORT_BYTES, writeReport } from '../../gateway/membership-reports.ts';
import type { Membership } from '../../gateway/memberships.ts';
import { OwnAddresses } from '../../gateway/own-addresses.ts';
import { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import { igmpFrame, igmpRecords, mldFrame, mldRecords, RECORD } from '../support/group-frames.ts';
import { arpFrame, batchOf, ndFrame, VM_IP4, VM_IP6, VM_MAC } from '../support/neighbour-frames.ts';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';

const G4 = '239.129.2.3';
const G6 = 'ff15::1:2:3';
const TAGS = [{ id: 7, tpid: 0x88a8 }, { id: 5 }];
const SOURCES4 = ['192.0.2.1', '192.0.2.2'];
const SOURCES6 = ['2001:db8::1'];

function memberships(...frames: readonly Uint8Array[]): Membership[] {
  const own = new OwnAddresses(new VirtualClock());
  for (const bytes of [arpFrame(), ndFrame(), arpFrame({ tags: TAGS }), ...frames]) own.left(batchOf(bytes), 0);
  return own.toAnnounce().memberships;
}

function report(membership: Membership): Uint8Array {
  // What was there before does not shine through.
  const bytes = new Uint8Array(REPORT_BYTES + 3).fill(0xa5);
  const { view } = slabOf(bytes);
  return bytes.slice(3, 3 + writeReport(bytes, view, 3, membership));
}

test.each([
  ['IGMPv1', igmpFrame(0x12, G4)],
  ['IGMPv2', igmpFrame(0x16, G4)],
  ['IGMPv3', igmpRecords([[RECORD.isExclude, G4]])],
  ['IGMPv3 of sources, in VLANs', igmpRecords([[RECORD.toInclude, G4, SOURCES4]], { tags: TAGS })],
  ['MLDv1', mldFrame(131, G6)],
  ['MLDv2', mldRecords([[RECORD.isExclude, G6]])],
  ['MLDv2 of as many sources as are kept', mldRecords([[RECORD.allow, G6, sources(8)]], { tags: TAGS })],
])('what is learned from a report that is made of a membership is that membership: %s', (_, bytes) => {
  const [learned] = memberships(bytes);
  expect(memberships(report(learned!))).toEqual([learned]);
});

test('tshark reads what the VM would have reported, with its tags and addresses', async ({ skip }) => {
  skip(withoutTshark !== null, withoutTshark ?? '');
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-reports-'));
  try {
    const path = join(folder, 'reports.pcapng');
    const frames = [
      igmpFrame(0x12, '239.1.1.1'),
      igmpFrame(0x16, '239.1.1.2'),
      igmpRecords([[RECORD.toExclude, G4]]),
      igmpRecords([[RECORD.toInclude, G4, SOURCES4]], { tags: TAGS }),
      mldFrame(131, 'ff15::1'),
      mldRecords([[RECORD.toExclude, G6]]),
      mldRecords([[RECORD.toInclude, 'ff15::2', SOURCES6]]),
    ];
    writeFileSync(path, capture(memberships(...frames).map(report)));
    const names = [
      ...(['eth.src', 'eth.dst', 'vlan.id', 'ip.src', 'ip.dst', 'ip.ttl', 'ip.checksum.status', 'ip.opt.ra'] as const),
      ...(['igmp.type', 'igmp.checksum.status', 'igmp.maddr', 'igmp.record_type', 'igmp.saddr'] as const),
      ...(['ipv6.src', 'ipv6.dst', 'ipv6.hlim', 'ipv6.opt.router_alert', 'icmpv6.type'] as const),
      ...(['icmpv6.checksum.status', 'icmpv6.mld.multicast_address', 'icmpv6.mldr.mar.record_type'] as const),
      ...(['icmpv6.mldr.mar.multicast_address', 'icmpv6.mldr.mar.source_address', '_ws.expert'] as const),
    ] as const;
    const flags = ['-o', 'ip.check_checksum:TRUE'];
    const rows = (await tsharkFields(path, names, flags)).map((row) =>
      Object.fromEntries(Object.entries(row).filter(([, text]) => text !== '')),
    );
    const ip4 = (dst: string, mac: string) => ({
      ...{ 'eth.src': VM_MAC, 'eth.dst': mac, 'ip.src': VM_IP4, 'ip.dst': dst, 'ip.ttl': '1' },
      ...{ 'ip.checksum.status': '1', 'ip.opt.ra': '0', 'igmp.checksum.status': '1' },
    });
    const ip6 = (dst: string, mac: string) => ({
      ...{ 'eth.src': VM_MAC, 'eth.dst': mac, 'ipv6.src': VM_IP6, 'ipv6.dst': dst, 'ipv6.hlim': '1' },
      ...{ 'ipv6.opt.router_alert': '0', 'icmpv6.checksum.status': '1' },
    });
    const routers4 = ip4('224.0.0.22', '01:00:5e:00:00:16');
    const routers6 = ip6('ff02::16', '33:33:00:00:00:16');
    const marAt = 'icmpv6.mldr.mar.multicast_address';
    expect(rows).toEqual([
      { ...ip4('239.1.1.1', '01:00:5e:01:01:01'), 'igmp.type': '0x12', 'igmp.maddr': '239.1.1.1' },
      { ...ip4('239.1.1.2', '01:00:5e:01:01:02'), 'igmp.type': '0x16', 'igmp.maddr': '239.1.1.2' },
      { ...routers4, 'igmp.type': '0x22', 'igmp.maddr': G4, 'igmp.record_type': '2' },
      {
        ...{ ...routers4, 'vlan.id': '5', 'igmp.type': '0x22', 'igmp.maddr': G4 },
        ...{ 'igmp.record_type': '1', 'igmp.saddr': SOURCES4.join() },
      },
      {
        ...ip6('ff15::1', '33:33:00:00:00:01'),
        ...{ 'icmpv6.type': '131', 'icmpv6.mld.multicast_address': 'ff15::1' },
      },
      { ...routers6, 'icmpv6.type': '143', 'icmpv6.mldr.mar.record_type': '2', [marAt]: G6 },
      {
        ...{ ...routers6, 'icmpv6.type': '143', 'icmpv6.mldr.mar.record_type': '1', [marAt]: 'ff15::2' },
        'icmpv6.mldr.mar.source_address': SOURCES6.join(),
      },
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function sources(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `2001:db8::${n + 1}`);
}

function capture(frames: readonly Uint8Array[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((chunk) => chunks.push(chunk.slice()));
  writer.addInterface({ name: 'outside' });
  for (const bytes of frames) writer.writePacket(0, 0, 0, bytes, 0, bytes.length, bytes.length);
  writer.flush();
  return Buffer.concat(chunks);
}
