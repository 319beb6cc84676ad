import { readFileSync } from 'node:fs';
import { join as pathJoin } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { join, pcapHeader, pcapRecord, type Reading, readBytes, sample } from '../support/pcap-bytes.ts';
import { parseIndependently } from '../support/pcap-parser.ts';
import { referenceRows } from '../support/reference-rows.ts';

const SWAPPED_LENGTHS = 'pcpp__clusterfuzz-testcase-minimized-FuzzTarget-5766899836387328.pcap';

/** Rows that a reference file has at most. */
const REFERENCE_ROWS = 2000;

function captureBytes(name: string): Uint8Array {
  return readFileSync(pathJoin(CAPTURES!, name));
}

const withReference = captureFiles().filter((name) => referenceRows(name) !== null);

describe('the shared captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  test.each(withReference)('%s has the times, lengths and interfaces that tshark tells', (name) => {
    const rows = referenceRows(name)!;
    const { seen, format } = readBytes(captureBytes(name), [65_536]);
    if (rows.length < REFERENCE_ROWS) expect(seen).toHaveLength(rows.length);
    const ours = seen.slice(0, rows.length).map(({ time, wireLength, data, interfaceId }) => ({
      time_epoch: time ?? '',
      len: String(wireLength),
      cap_len: String(data.length / 2),
      iface: format === 'pcapng' ? String(interfaceId) : '',
    }));
    expect(ours).toEqual(rows.map(({ time_epoch, len, cap_len, iface }) => ({ time_epoch, len, cap_len, iface })));
  });

  test.for([
    ['dpkt__truncated_dns_2.pcap', 240, 'record 2 header cut: 7 of 16 bytes'],
    ['pcpp__crash-81dba690a3f67ee41a41390a625db732fa1413a1.pcap', 1043, 'record 12 cut: 8928 of 19200 bytes'],
    ['suricata__tls_DER-incomplete-header.pcap', 5035, 'record 7 claims 4325376 bytes, more than 262144'],
  ] as const)('%s is damaged at byte %i', ([name, byteOffset, reason], { skip }) => {
    skip(!captureFiles().includes(name), `the shared captures have no ${name}`);
    expect(readBytes(captureBytes(name)).damage).toEqual({ byteOffset, reason });
  });

  test('a capture of version 2.3 whose lengths are swapped has one packet of 4 bytes, as tcpdump says', ({ skip }) => {
    skip(!captureFiles().includes(SWAPPED_LENGTHS), `the shared captures have no ${SWAPPED_LENGTHS}`);
    // tshark 4.0 takes it for a Red Hat variant with longer record headers, and finds it cut.
    const { seen, damage } = readBytes(captureBytes(SWAPPED_LENGTHS));
    expect(seen).toEqual([expect.objectContaining({ data: '6c202020', wireLength: 0x2020_2020, linkType: 101 })]);
    expect(damage).toBeNull();
  });
});

/** Classic microsecond captures in either byte order: all that npm pcap-parser understands. */
function isClassic(capture: Uint8Array): boolean {
  const start = Buffer.from(capture.subarray(0, 8)).toString('hex');
  // Before version 2.4 the two lengths of a record may have the other order, which it does not know.
  return ['a1b2c3d400020004', 'd4c3b2a102000400'].includes(start);
}

/** The same packets in the words of npm pcap-parser. */
function inTheirWords(reading: Reading) {
  return reading.seen.map(({ time, data, wireLength }) => ({ time, data, wireLength }));
}

describe('npm pcap-parser', () => {
  const classic = captureFiles().filter((name) => isClassic(captureBytes(name)));

  test.each(classic)('agrees on %s', async (name) => {
    const capture = captureBytes(name);
    const ours = readBytes(capture);
    const theirs = await parseIndependently(capture);
    expect(theirs.error).toBeNull();
    const packets = theirs.packets.map(({ header, data }) => ({
      time: `${header.timestampSeconds}.${String(header.timestampMicroseconds * 1000).padStart(9, '0')}`,
      data: Buffer.from(data).toString('hex'),
      wireLength: header.originalLength,
    }));
    // It says nothing of a cut or lying record, it only gives no packet for it: so do we, besides the damage.
    expect(inTheirWords(ours)).toEqual(packets);
    // It has the link type word as a whole, ours is the lower half.
    if (ours.seen.length > 0) expect(ours.seen[0]?.linkType).toBe(theirs.linkLayerType! & 0xffff);
  });

  test('before version 2.4 it takes the length on the wire for the captured one, and we do not', async () => {
    const older = join(
      pcapHeader({ version: [2, 3] }),
      pcapRecord(sample(60), { lengths: [1514, 60] }),
      pcapRecord(sample(60)),
    );
    // It waits for 1514 bytes, which never come, and says nothing.
    expect(await parseIndependently(older)).toMatchObject({ packets: [], error: null });
    expect(readBytes(older)).toMatchObject({ seen: [{ wireLength: 1514 }, { wireLength: 60 }], damage: null });
  });
});
