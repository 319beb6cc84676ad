import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Timeline } from '../../gateway/timeline.ts';

describe('a timeline', () => {
  it('shows in every span the most that was held at any time in it, whatever the spans have grown to', () => {
    const step = fc.record({
      stepNs: fc.oneof(fc.integer({ min: 0, max: 3_000_000 }), fc.integer({ min: 0, max: 2_000_000_000 })),
      frames: fc.integer({ min: 0, max: 50 }),
    });
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
        const timeline = new Timeline();
        const samples: { atNs: number; frames: number }[] = [];
        let nowNs = 0;
        for (const { stepNs, frames } of steps) {
          nowNs += stepNs;
          timeline.sample(nowNs, frames, frames * 100);
          samples.push({ atNs: nowNs, frames });
        }
        const { widthNs, length } = timeline;
        expect(length).toBe(Math.floor(nowNs / widthNs) + 1);
        for (let i = 0; i < length; i++) {
          const within = samples.filter(({ atNs }) => atNs >= i * widthNs && atNs < (i + 1) * widthNs);
          // What was held when the span began, too.
          const before = samples.findLast(({ atNs }) => atNs < i * widthNs)?.frames ?? 0;
          const most = Math.max(before, ...within.map(({ frames }) => frames));
          expect([i, timeline.frames[i], timeline.bytes[i]]).toEqual([i, most, most * 100]);
        }
      }),
    );
  });

  it('of nothing has one empty span', () => {
    const { length, frames } = new Timeline();
    expect([length, frames[0]]).toEqual([1, 0]);
  });
});
