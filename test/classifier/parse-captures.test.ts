import { join as pathJoin } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { readCapture } from '../../pcaps/cursor.ts';
import { LINKTYPE_ETHERNET } from '../../pcaps/record.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { type Fields, fieldsIn, GuardedView, parsedOf, rawFields } from '../support/parse-frame.ts';
import { expectedFields } from '../support/parse-reference.ts';
import { type ReferenceRow, referenceRows } from '../support/reference-rows.ts';

/** Of all values of all captures, as much must be equal. What differs is listed when the test fails. */
const LEAST_AGREEMENT = 0.9995;

interface Comparison {
  rows: number;
  values: number;
  readonly different: string[];
}

async function compare(
  capture: string,
  into: Comparison,
  isMeant: (row: ReferenceRow) => boolean = () => true,
): Promise<void> {
  const rows = referenceRows(capture);
  const p = new Parsed();
  await readCapture(pathJoin(CAPTURES!, capture), (record, ordinal) => {
    const length = record.frameLength;
    const wireLength = Math.max(0, record.wireLength - record.fcsLength);
    const view = new GuardedView(record.bytes, record.offset, record.offset + length);
    parse(p, view, record.offset, length, wireLength);
    if (ordinal % 50 === 0) {
      // As a new Parsed says it, and as a frame that lies elsewhere.
      const alone = parsedOf(record.bytes.slice(record.offset, record.offset + length), wireLength);
      expect(fieldsIn(p)).toEqual(fieldsIn(alone));
      expect(Object.keys(rawFields(p))).toEqual(Object.keys(rawFields(alone)));
    }
    const row = rows?.[ordinal - 1];
    if (row === undefined || record.linkType !== LINKTYPE_ETHERNET || !isMeant(row)) return;
    into.rows++;
    const want = expectedFields(row);
    const got: Fields = fieldsIn(p);
    for (const [name, value] of Object.entries(want) as [keyof Fields, unknown][]) {
      const seen = name === 'tags' ? got.tags.map((tag) => tag & 0xfff).join() : got[name];
      // IPv6 without a fragment header has no offset; the reference has 0 where another IP packet lies within.
      const isSame = seen === (Array.isArray(value) ? value.join() : value) || (name === 'fragOffset' && seen === -1);
      into.values++;
      if (!isSame) into.different.push(`${capture} packet ${ordinal}: ${name} ${seen}, tshark ${value} (${row.stack})`);
    }
  });
}

describe('the reference captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  const all: Comparison = { rows: 0, values: 0, different: [] };
  const withReference = captureFiles().filter((name) => referenceRows(name) !== null);

  test.each(captureFiles())('every frame of %s is parsed within its bounds', async (capture) => {
    const one: Comparison = { rows: 0, values: 0, different: [] };
    await compare(capture, one);
    all.values += one.values;
    all.different.push(...one.different);
  });

  test.each([
    ['IP beneath MPLS', 'libtrace__ip-in-mpls.pcap', /:mpls:ip:/, 1996, 25_000],
    ['IP in PPPoE sessions', 'ndpi__syslog.pcap', /:pppoes:ppp:ip:/, 6, 60],
  ] as const)('%s is read exactly as tshark reads it', async (_, capture, stack, rows, values) => {
    const one: Comparison = { rows: 0, values: 0, different: [] };
    await compare(capture, one, (row) => stack.test(row.stack!));
    expect(one.different).toEqual([]);
    expect(one.rows).toBe(rows);
    expect(one.values).toBeGreaterThanOrEqual(values);
  });

  test('the parser finds what tshark finds', () => {
    expect(withReference.length).toBeGreaterThan(90);
    expect(all.values).toBeGreaterThan(100_000);
    expect(1 - all.different.length / all.values, all.different.slice(0, 20).join('\n')).toBeGreaterThanOrEqual(
      LEAST_AGREEMENT,
    );
  });
});
