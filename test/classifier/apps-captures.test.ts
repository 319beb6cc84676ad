import { beforeEach, describe, expect, it } from 'vitest';
import type { AppName } from '../../rules/apps.ts';
import { APPS } from '../../rules/apps.ts';
import { agreementOf, compareWithTshark, qualityOf } from '../bench/app-truth.ts';
import { CAPTURES, NO_CAPTURES } from '../support/captures.ts';

/** What was measured, rounded down; null: the captures have no frame that counts. */
interface Floor {
  /** The application's frames, by tshark: fewer would prove less. */
  readonly frames: number;
  readonly precision: number | null;
  readonly recall: number | null;
  /** The same where frames that cannot tell, and errors of tshark, count for nothing. */
  readonly ownPrecision: number | null;
  readonly ownRecall: number | null;
}

const FLOORS: Readonly<Record<AppName, Floor>> = {
  bgp: { frames: 39, precision: 1, recall: 1, ownPrecision: 1, ownRecall: 1 },
  sip: { frames: 115, precision: 1, recall: 1, ownPrecision: 1, ownRecall: 1 },
  http: { frames: 908, precision: 1, recall: 0.083, ownPrecision: 1, ownRecall: 1 },
  ssh: { frames: 651, precision: 1, recall: 0.03, ownPrecision: 1, ownRecall: 1 },
  dhcp: { frames: 43, precision: 1, recall: 0.767, ownPrecision: 1, ownRecall: 1 },
  quic: { frames: 7, precision: 1, recall: 0.714, ownPrecision: 1, ownRecall: 1 },
  wireguard: { frames: 0, precision: null, recall: null, ownPrecision: null, ownRecall: null },
  dns: { frames: 516, precision: 1, recall: 0.994, ownPrecision: 1, ownRecall: 1 },
  tls: { frames: 1474, precision: 0.975, recall: 0.688, ownPrecision: 1, ownRecall: 1 },
  rtcp: { frames: 22, precision: 0.458, recall: 1, ownPrecision: 1, ownRecall: 1 },
  rtp: { frames: 2152, precision: 0.998, recall: 0.994, ownPrecision: 0.998, ownRecall: 1 },
};

describe('recognisers on real captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  const results = CAPTURES === null ? [] : compareWithTshark().results;
  const resultOf = (app: AppName) => results.find((result) => result.app === app)!;

  it.each(APPS)('agree with tshark on %s as often as was measured', (app) => {
    const result = resultOf(app);
    const floor = FLOORS[app];
    expect(result.truePositives + result.falseNegatives).toBeGreaterThanOrEqual(floor.frames);
    const agreement = agreementOf(result);
    const own = qualityOf(result);
    for (const [measured, least] of [
      [agreement.precision, floor.precision],
      [agreement.recall, floor.recall],
      [own.precision, floor.ownPrecision],
      [own.recall, floor.ownRecall],
    ]) {
      if (least === null) expect(measured).toBeNull();
      else expect(measured).toBeGreaterThanOrEqual(least!);
    }
  });

  it.each(APPS)('differ from tshark on %s for known reasons only', (app) => {
    expect(resultOf(app).unexplained).toEqual([]);
  });

  it('take for WireGuard nothing that is not', () => {
    expect(resultOf('wireguard').falsePositives).toBe(0);
  });
});
