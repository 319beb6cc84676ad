import { beforeEach, describe, expect, it } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { forEachFrame, type ReferenceRow, referenceRows } from '../support/reference-rows.ts';

interface Finding {
  readonly where: string;
  readonly row: ReferenceRow;
  readonly sip: number;
  readonly rtp: number;
  readonly payload: readonly number[];
}

function findings(): Finding[] {
  const found: Finding[] = [];
  for (const file of captureFiles()) {
    const rows = referenceRows(file);
    forEachFrame(file, (p, slab, packet) => {
      const row = rows.get(String(packet));
      if (row === undefined || p.problem !== 0 || p.fragOffset > 0 || p.payloadCaptured < 2) return;
      found.push({
        where: `${file} ${packet}`,
        row,
        sip: RECOGNISERS.sip(p, slab),
        rtp: RECOGNISERS.rtp(p, slab),
        payload: [slab.getUint8(p.payloadOffset), slab.getUint8(p.payloadOffset + 1)],
      });
    });
  }
  return found;
}

describe('recognisers on real captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  const all = CAPTURES === null ? [] : findings();

  it('find every SIP message that tshark finds in a UDP or TCP payload, and nothing else', () => {
    const expected = all.filter(({ row }) => row.sip !== '' && (row.l4 === 'udp' || row.l4 === 'tcp'));
    expect(expected.length).toBeGreaterThan(100);
    expect(all.filter(({ sip }) => sip === ANSWER.yes).map(({ where }) => where)).toEqual(
      expected.map(({ where }) => where),
    );
  });

  it('find the RTP that tshark finds, but for payload types that are RTCP to us', () => {
    const expected = all.filter(
      ({ row }) => row.rtp === 'rtp' || row.rtp === '1' || row.rtp_heur === 'rtp' || row.rtp_heur === '1',
    );
    const missed = expected.filter(({ rtp }) => rtp !== ANSWER.yes);
    expect(expected.length).toBeGreaterThan(2000);
    for (const { payload } of missed) expect(payload[1]! & 0x7f).toSatisfy((type: number) => type >= 64 && type <= 95);
    expect(missed.length / expected.length).toBeLessThan(0.01);
  });

  it('take for RTP what tshark does not in less than one of 300 cases', () => {
    const taken = all.filter(({ rtp }) => rtp === ANSWER.yes);
    const wrong = taken.filter(({ row }) => row.rtp === '0' && row.rtp_heur === '0');
    expect(wrong.length / taken.length).toBeLessThan(1 / 300);
  });
});
