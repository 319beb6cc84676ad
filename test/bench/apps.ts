import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { L3, L4, Parsed } from '../../classifier/parsed.ts';
import { slabOf } from '../../classifier/slab.ts';
import { APPS } from '../../rules/apps.ts';
import { CAPTURES, NO_CAPTURES } from '../support/captures.ts';
import { Random } from '../support/random.ts';
import { agreementOf, compareWithTshark, qualityOf, TRUTHS } from './app-truth.ts';
import type { Reporter } from './figures.ts';

const RANDOM_FRAMES = 1_000_000;
const MAX_PAYLOAD = 1460;

/** How well the recognisers agree with tshark, and how often random payloads look like an application. */
export function appsBench(report: Reporter): void {
  if (CAPTURES === null) report.skipped('precision and recall', NO_CAPTURES);
  else agreement(report);
  chance(report);
}

function agreement(report: Reporter): void {
  const { frames, results } = compareWithTshark();
  for (const result of results) {
    const { app, truePositives, falsePositives, falseNegatives, differences, unexplained } = result;
    console.log(
      `  ${app}: of ${frames} frames ${truePositives} true positives, ${falsePositives} false positives, ${falseNegatives} false negatives`,
    );
    console.log(`    counts as ${app}: ${TRUTHS[app].rule}`);
    for (const [name, seen] of differences) console.log(`    ${String(seen).padStart(5)} × ${name}`);
    for (const where of unexplained) console.log(`    unexplained: ${where}`);
    const figure = (metric: string, value: number | null) => {
      if (value === null) report.skipped(`${app}: ${metric}`, 'the captures have no such frame');
      else report.figure({ metric: `${app}: ${metric}`, value: value * 100, unit: '%' });
    };
    const agreement = agreementOf(result);
    figure('precision', agreement.precision);
    figure('recall', agreement.recall);
    const quality = qualityOf(result);
    figure('precision where tshark does not err', quality.precision);
    figure('recall of frames that can tell, where tshark does not err', quality.recall);
  }
}

/** Payloads of uniformly random length and content, between l4Ports that rule nothing out. */
function chance(report: Reporter): void {
  const { bytes, view } = slabOf(new Uint8Array(MAX_PAYLOAD));
  const words = new Uint32Array(bytes.buffer, 0, MAX_PAYLOAD / 4);
  const p = new Parsed();
  p.payloadOffset = 0;
  const random = new Random(1);
  const taken = new Map(APPS.map((app) => [app, 0]));
  for (let i = 0; i < RANDOM_FRAMES; i++) {
    const length = 1 + random.below(MAX_PAYLOAD);
    for (let word = 0; word < words.length; word++) words[word] = random.below(2 ** 32);
    p.payloadLength = length;
    p.payloadCaptured = length;
    p.udpLength = length + 8;
    for (const app of APPS) {
      let isTaken = false;
      for (const l4 of [L4.udp, L4.tcp]) {
        p.l4 = l4;
        for (const l3 of [L3.ip4, L3.ip6]) {
          p.l3 = l3;
          p.srcPort = p.dstPort = app === 'dhcp' ? 547 : 20000;
          if (RECOGNISERS[app](p, view) >= ANSWER.yes) isTaken = true;
        }
      }
      if (isTaken) taken.set(app, taken.get(app)! + 1);
    }
  }
  for (const [app, count] of taken) {
    report.figure({
      metric: `${app}: of a million random payloads`,
      value: (count / RANDOM_FRAMES) * 1e6,
      unit: 'taken',
    });
  }
}
