import { expect, test } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';
import { APPS } from '../../rules/apps.ts';
import { SAMPLES } from '../support/app-samples.ts';
import { bytesOf } from '../support/ask-app.ts';
import { leastHeapGrowth, leastOfEight } from '../support/heap-growth.ts';

const PASSES = 2_000;
const NOISE_BYTES = 400;

test('asking every recogniser about every sample allocates nothing, beside a loop that does', () => {
  const asked = SAMPLES.map(([, payload, shape]) => {
    const bytes = bytesOf(payload);
    const p = new Parsed();
    p.l3 = shape?.l3 ?? L3.ip4;
    p.l4 = shape?.l4 ?? L4.udp;
    [p.srcPort, p.dstPort] = shape?.ports ?? [20000, 30000];
    p.udpLength = bytes.length + 8;
    p.payloadOffset = 0;
    p.payloadLength = p.payloadCaptured = bytes.length;
    return { p, slab: new DataView(bytes.buffer) };
  });
  const recognisers = APPS.map((app) => RECOGNISERS[app]);
  let answers = 0;
  const ask = () => {
    for (let pass = 0; pass < PASSES; pass++) {
      for (let i = 0; i < asked.length; i++) {
        const { p, slab } = asked[i]!;
        for (let app = 0; app < recognisers.length; app++) answers += recognisers[app]!(p, slab);
      }
    }
  };
  const made: unknown[] = [];
  const allocate = () => {
    made.length = 0;
    for (let pass = 0; pass < PASSES; pass++) made.push({ pass });
  };
  expect(leastHeapGrowth(ask, NOISE_BYTES).bytes).toBeLessThan(NOISE_BYTES);
  expect(leastOfEight(allocate)).toBeGreaterThan(PASSES * 8);
  expect(answers).toBeGreaterThan(0);
});
