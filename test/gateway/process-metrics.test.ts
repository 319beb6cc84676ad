import { expect, test } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import { Exposition } from '../../gateway/exposition.ts';
import { ProcessMetrics } from '../../gateway/process-metrics.ts';
import { readExposition, seriesValue } from '../support/read-exposition.ts';

test('a late turn of the event loop is told to every reader for a span, and no longer', async () => {
  const clock = new VirtualClock();
  const metrics = new ProcessMetrics(clock);
  const delay = () => {
    const to = new Exposition();
    metrics.write(to);
    return seriesValue(readExposition(to.text()), 'holdfast_event_loop_delay_p99_seconds');
  };
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
  try {
    await pause(50);
    const end = performance.now() + 400;
    while (performance.now() < end);
    await pause(50);
    expect(delay()).toBeGreaterThan(0.3);
    clock.advanceTo(15e9);
    const told = delay();
    expect(told).toBeGreaterThan(0.3);
    // A second reader gets what the first one got.
    expect(delay()).toBe(told);
    clock.advanceTo(29e9);
    expect(delay()).toBe(told);
    // The loop has not turned in the second span: nothing was late in it.
    clock.advanceTo(30e9);
    expect(delay()).toBe(0);
  } finally {
    metrics.close();
  }
});
