import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';
import { APP_TYPES, APPS, type AppName } from '../../rules/apps.ts';
import { SAMPLES } from '../support/app-samples.ts';
import { askApp, askCuts, bytesOf, type Shape } from '../support/ask-app.ts';
import { runs, SEED } from '../support/runs.ts';

const MAX_TYPE = 31;
const named = SAMPLES.map(([app, payload, shape], i) => [`${app}, sample ${i}`, app, payload, shape ?? {}] as const);

const shapes: fc.Arbitrary<Shape> = fc.record({
  l3: fc.constantFrom(L3.ip4, L3.ip6),
  l4: fc.constantFrom(L4.udp, L4.tcp, L4.udp, L4.tcp, L4.udplite, L4.sctp, L4.icmp),
  ports: fc.constantFrom<readonly [number, number]>([546, 547], [5060, 53], [20000, 30000]),
  told: fc.integer({ min: -8, max: 300 }),
  isFirstFragment: fc.boolean(),
});

/** A sample with some bytes changed, and cut or prolonged: near enough to reach every branch. */
const mutants = fc
  .record({
    sample: fc.constantFrom(...SAMPLES),
    changes: fc.array(fc.tuple(fc.nat({ max: 300 }), fc.integer({ min: 0, max: 255 })), { maxLength: 3 }),
    keep: fc.integer({ min: 0, max: 300 }),
    more: fc.uint8Array({ maxLength: 40 }),
  })
  .map(({ sample: [app, payload, shape], changes, keep, more }) => {
    const bytes = [...bytesOf(payload).slice(0, keep), ...more];
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return { app, bytes, shape: shape ?? {} };
  });

describe('every recogniser', () => {
  it('has a sample here', () => {
    expect(new Set(SAMPLES.map(([app]) => app))).toEqual(new Set(APPS));
  });

  it.each(named)('takes %s', (_, app, payload, shape) => {
    expect(askApp(app, payload, shape)).toBeGreaterThanOrEqual(ANSWER.yes);
  });

  it.each(named)('never says no to a frame of %s that the capture cut', (_, app, payload, shape) => {
    expect(askCuts(app, payload, shape)).not.toContain(ANSWER.no);
  });

  it.each(named)(
    'says the same of a cut frame of %s as of the whole one, if it says anything',
    (_, app, payload, shape) => {
      const whole = askApp(app, payload, shape);
      expect(new Set([...askCuts(app, payload, shape), ANSWER.unknown])).toEqual(
        new Set(askCuts(app, payload, shape).includes(whole) ? [whole, ANSWER.unknown] : [ANSWER.unknown]),
      );
    },
  );

  it('says of a cut frame what it says of the whole one, or unknown: on anything like a sample', () => {
    fc.assert(
      fc.property(mutants, ({ app, bytes, shape }) => {
        const whole = askApp(app, bytes, shape);
        for (const cut of askCuts(app, bytes, shape)) if (cut !== ANSWER.unknown) expect(cut).toBe(whole);
      }),
      { numRuns: runs(1000), ...SEED },
    );
  });

  it('says unknown of cut frames only', () => {
    fc.assert(
      fc.property(fc.constantFrom(...APPS), mutants, shapes, (app, { bytes }, shape) => {
        expect(askApp(app, bytes, shape)).not.toBe(ANSWER.unknown);
      }),
      { numRuns: runs(2000), ...SEED },
    );
  });

  it('answers any bytes in any transport with a type it has, and reads only what was captured', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...APPS),
        fc.oneof(
          mutants.map(({ bytes }) => bytes),
          fc.uint8Array({ maxLength: 200 }).map((bytes) => [...bytes]),
        ),
        shapes,
        fc.nat({ max: 300 }),
        (app, bytes, shape, captured) => {
          const answer = askApp(app, bytes, { ...shape, captured: Math.min(captured, bytes.length) });
          const types = APP_TYPES[app] === undefined ? [ANSWER.yes] : Object.values(APP_TYPES[app]);
          expect([ANSWER.unknown, ANSWER.no, ...types]).toContain(answer);
        },
      ),
      { numRuns: runs(3000), ...SEED },
    );
  });

  it('is not asked of other transports', () => {
    for (const [app, payload, shape] of SAMPLES) {
      for (const l4 of [L4.none, L4.udplite, L4.sctp, L4.dccp, L4.icmp, L4.icmpv6, L4.igmp]) {
        expect(askApp(app, payload, { ...shape, l4 })).toBe(ANSWER.no);
      }
    }
  });

  it('has nothing to say to an empty payload', () => {
    for (const app of APPS) for (const l4 of [L4.udp, L4.tcp]) expect(askApp(app, '', { l4 })).toBe(ANSWER.no);
  });

  it('has types from 1 to 31, each with its own number', () => {
    for (const types of Object.values(APP_TYPES)) {
      const numbers = Object.values(types);
      expect(new Set(numbers).size).toBe(numbers.length);
      for (const number of numbers) {
        expect(number).toBeGreaterThanOrEqual(1);
        expect(number).toBeLessThanOrEqual(MAX_TYPE);
      }
    }
  });
});

/** Mulberry32: the same payloads in every run, so that a rate cannot fail by bad luck. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
}

describe('a uniformly random payload', () => {
  const FRAMES = 50_000;
  const LONGEST = 1460;

  /** How many of the random payloads each recogniser takes over UDP or TCP, between l4Ports that allow it. */
  function takenBy(apps: readonly AppName[]): Map<AppName, number> {
    const next = generator(20_000);
    const words = new Uint32Array(LONGEST / 4);
    const view = new DataView(words.buffer);
    const p = new Parsed();
    const taken = new Map<AppName, number>(apps.map((app) => [app, 0]));
    p.payloadOffset = 0;
    for (let i = 0; i < FRAMES; i++) {
      const length = 1 + (next() % LONGEST);
      for (let word = 0; word * 4 < length; word++) words[word] = next();
      p.payloadLength = p.payloadCaptured = length;
      p.udpLength = length + 8;
      for (const app of apps) {
        p.l3 = app === 'dhcp' ? L3.ip6 : L3.ip4;
        p.srcPort = p.dstPort = app === 'dhcp' ? 547 : 20000;
        p.l4 = L4.udp;
        let isTaken = RECOGNISERS[app](p, view) >= ANSWER.yes;
        p.l4 = L4.tcp;
        isTaken ||= RECOGNISERS[app](p, view) >= ANSWER.yes;
        if (isTaken) taken.set(app, taken.get(app)! + 1);
      }
    }
    return taken;
  }

  it('passes for RTP once in twenty, for RTCP less than once in 10,000, for anything else less than once in 20,000', () => {
    for (const [app, count] of takenBy(APPS)) {
      const rate = count / FRAMES;
      if (app === 'rtp') expect(rate).toBeCloseTo(0.051, 2);
      else expect(rate).toBeLessThan(app === 'rtcp' ? 1 / 10_000 : 1 / 20_000);
    }
  });
});
