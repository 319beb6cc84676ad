import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Announcer } from '../../gateway/announce.ts';
import { VirtualClock } from '../../gateway/clock.ts';
import { type OwnAddress, OwnAddresses } from '../../gateway/own-addresses.ts';
import { memoryLink } from '../../gateway/port/memory.ts';
import { PcapngWriter } from '../../pcaps/pcapng-writer.ts';
import { arpFrame, batchOf, NA, ndFrame, VM_IP4, VM_IP6, VM_MAC } from '../support/neighbour-frames.ts';
import { Hand } from '../support/rig.ts';
import { tsharkFields, withoutTshark } from '../support/tshark.ts';

const MS = 1e6;

class Line {
  readonly clock = new VirtualClock();
  readonly announcer: Announcer;
  readonly #net: Hand;

  constructor(capacity = 4096) {
    const [net, outside] = memoryLink('outside', capacity, 128, this.clock);
    this.#net = new Hand(net);
    this.announcer = new Announcer(outside);
  }

  begin(addresses: readonly OwnAddress[]): void {
    this.announcer.begin(addresses, this.clock.nowNs());
    this.announcer.pump(this.clock.nowNs());
  }

  /** Until the time, as a timer would do it. @returns frames that left, in hexadecimal */
  runTo(ms: number): string[] {
    for (let dueNs = this.announcer.nextDueNs(); dueNs <= ms * MS; dueNs = this.announcer.nextDueNs()) {
      this.clock.advanceTo(dueNs);
      this.announcer.pump(this.clock.nowNs());
    }
    this.clock.advanceTo(ms * MS);
    return this.#net.take();
  }
}

function addresses(...frames: readonly Uint8Array[]): OwnAddress[] {
  const own = new OwnAddresses(new VirtualClock());
  for (const bytes of frames) own.left(batchOf(bytes), 0);
  return own.toAnnounce().addresses;
}

test('each address is announced five times: at once, then 50, 150, 250 and 350 ms later', () => {
  const line = new Line();
  line.begin(addresses(arpFrame(), ndFrame()));
  const times = [0, 50, 200, 450, 800];
  const counts = times.flatMap((ms, i) => [line.runTo(ms).length, line.runTo((times[i + 1] ?? 5000) - 1).length]);
  expect(counts).toEqual([2, 0, 2, 0, 2, 0, 2, 0, 2, 0]);
  expect(line.announcer.sentFrames).toBe(10);
  expect(line.announcer.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
});

test('nobody needs to wake when there is nothing to announce', () => {
  const line = new Line();
  line.begin([]);
  expect(line.announcer.nextDueNs()).toBe(Number.POSITIVE_INFINITY);
  expect(line.runTo(5000)).toEqual([]);
});

test('what another failover announces takes the place of what is being announced, and an end ends it', () => {
  const line = new Line();
  line.begin(addresses(arpFrame()));
  line.runTo(60);
  line.begin(addresses(arpFrame({ senderIp: '10.0.0.11' }), ndFrame()));
  expect(line.runTo(5000)).toHaveLength(10);
  line.begin(addresses(arpFrame()));
  line.announcer.end();
  expect(line.runTo(9000)).toHaveLength(1);
});

test('what the port refuses is offered again a millisecond later, in order and not twice', () => {
  const line = new Line(60);
  const many = Array.from({ length: 150 }, (_, n) => arpFrame({ senderIp: `10.1.0.${n}` }));
  line.begin(addresses(...many));
  expect(line.announcer.nextDueNs()).toBe(1 * MS);
  const frames = [0, 1, 2].flatMap((ms) => line.runTo(ms));
  expect(frames.map((text) => Number.parseInt(text.slice(62, 64), 16))).toEqual(many.map((_, n) => n));
  expect(line.announcer.nextDueNs()).toBe(52 * MS);
});

test('tshark reads gratuitous ARP and unsolicited neighbour advertisements, with the tags that the VM used', async ({
  skip,
}) => {
  skip(withoutTshark !== null, withoutTshark ?? '');
  const line = new Line();
  const outerTag = { id: 7, tpid: 0x88a8, pcp: 2 };
  line.begin(
    addresses(
      arpFrame(),
      arpFrame({ senderIp: '10.0.0.11', tags: [{ id: 5 }] }),
      ndFrame(),
      ndFrame({ target: '2001:db8::99', flags: NA.router | NA.override, tags: [outerTag, { id: 5 }] }),
      ndFrame({ target: '2001:db8::cafe', flags: 0 }),
    ),
  );
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-announce-'));
  try {
    const path = join(folder, 'announced.pcapng');
    writeFileSync(path, capture([...line.runTo(0), ...line.runTo(50).slice(0, 2)]));
    const names = [
      'eth.src',
      'eth.dst',
      'ieee8021ad.id',
      'vlan.id',
      'arp.isgratuitous',
      'arp.opcode',
      'arp.src.proto_ipv4',
      'arp.dst.proto_ipv4',
      'arp.src.hw_mac',
      'icmpv6.checksum.status',
      'ipv6.src',
      'ipv6.dst',
      'ipv6.hlim',
      'icmpv6.nd.na.target_address',
      'icmpv6.opt.linkaddr',
      'icmpv6.nd.na.flag.r',
      'icmpv6.nd.na.flag.s',
      'icmpv6.nd.na.flag.o',
      '_ws.expert',
    ] as const;
    const rows = (await tsharkFields(path, names)).map((row) =>
      Object.fromEntries(Object.entries(row).flatMap(([name, text]) => (text === '' ? [] : [[name, plain(text)]]))),
    );
    const arp = (ip: string, opcode: string) => ({
      'eth.src': VM_MAC,
      'eth.dst': 'ff:ff:ff:ff:ff:ff',
      'arp.isgratuitous': '1',
      'arp.opcode': opcode,
      'arp.src.proto_ipv4': ip,
      'arp.dst.proto_ipv4': ip,
      'arp.src.hw_mac': VM_MAC,
    });
    const na = (ip: string, r: boolean, o: boolean) => ({
      'eth.src': VM_MAC,
      'eth.dst': '33:33:00:00:00:01',
      'icmpv6.checksum.status': '1',
      'ipv6.src': ip,
      'ipv6.dst': 'ff02::1',
      'ipv6.hlim': '255',
      'icmpv6.nd.na.target_address': ip,
      'icmpv6.opt.linkaddr': VM_MAC,
      'icmpv6.nd.na.flag.r': r ? '1' : '0',
      'icmpv6.nd.na.flag.s': '0',
      'icmpv6.nd.na.flag.o': o ? '1' : '0',
    });
    expect(rows).toEqual([
      arp(VM_IP4, '1'),
      { ...arp('10.0.0.11', '1'), 'vlan.id': '5' },
      na(VM_IP6, false, true),
      { ...na('2001:db8::99', true, true), 'vlan.id': '5', 'ieee8021ad.id': '7' },
      na('2001:db8::cafe', false, false),
      arp(VM_IP4, '2'),
      { ...arp('10.0.0.11', '2'), 'vlan.id': '5' },
    ]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('the outer tag is as the VM wrote it, priority too', () => {
  const line = new Line();
  line.begin(addresses(arpFrame({ tags: [{ id: 7, tpid: 0x88a8, pcp: 2 }, { id: 5 }] })));
  expect(line.runTo(0)[0]!.slice(24, 44)).toBe('88a84007810000050806');
});

function capture(frames: readonly string[]): Uint8Array {
  const chunks: Uint8Array[] = [];
  const writer = new PcapngWriter((chunk) => chunks.push(chunk.slice()));
  writer.addInterface({ name: 'outside' });
  for (const text of frames) {
    const bytes = Buffer.from(text, 'hex');
    writer.writePacket(0, 0, 0, bytes, 0, bytes.length, bytes.length);
  }
  writer.flush();
  return Buffer.concat(chunks);
}

/** Some versions of tshark write a flag as a word. */
function plain(text: string): string {
  return text === 'True' ? '1' : text === 'False' ? '0' : text;
}
