/**
 * Mutates what strangers send until the time is over: frames, captures, rule files.
 *
 *   npx tsx test/fuzz/inputs.ts [time=60] [seed=N]
 *
 * Ends with 1 and the input in hexadecimal when something throws, or when compiled and linear matcher disagree.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { Classifier, compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { LinearMatcher } from '../../classifier/linear.ts';
import { parse } from '../../classifier/parse.ts';
import { Parsed } from '../../classifier/parsed.ts';
import { slabOf } from '../../classifier/slab.ts';
import { CaptureReader } from '../../pcaps/reader.ts';
import { CaptureFormatError, CaptureRecord } from '../../pcaps/record.ts';
import { SHIPPED_SETS, shippedRules } from '../../rules/load.ts';
import { parseRules } from '../../rules/parse.ts';
import { Dice } from './dice.ts';

const TRACES = fileURLToPath(new URL('../../pcaps/traces/', import.meta.url));
const ROUND = 200;

const given: Record<string, string> = Object.fromEntries(process.argv.slice(2).map((arg) => arg.split('=', 2)));
const timeSeconds = Number(given.time ?? 60);
const seed = Number(given.seed ?? 1);
const dice = new Dice(seed);

const captures = readdirSync(TRACES)
  .filter((name) => /\.(pcap|pcapng|gz)$/.test(name))
  .sort()
  .map((name) => (name.endsWith('.gz') ? gunzipSync(readFileSync(TRACES + name)) : readFileSync(TRACES + name)))
  .map((bytes) => bytes.subarray(0, 20_000));
const frames = captures.flatMap((bytes) => readAll(bytes));
const ruleTexts = await Promise.all(SHIPPED_SETS.map(async (name) => (await shippedRules(name)).text));
const generations = ruleTexts.map((text, i) => compileGeneration(i + 1, parseRules(text, 'shipped').ruleSet!));

function readAll(bytes: Uint8Array): Uint8Array[] {
  const reader = new CaptureReader();
  const record = new CaptureRecord();
  const found: Uint8Array[] = [];
  try {
    reader.feed(bytes);
    reader.end();
    while (reader.next(record)) found.push(record.bytes.slice(record.offset, record.offset + record.frameLength));
  } catch (error) {
    if (!(error instanceof CaptureFormatError)) throw error;
  }
  return found;
}

function judge(frame: Uint8Array, generation: Generation, classifier: Classifier): void {
  const slab = slabOf(frame);
  const p = new Parsed();
  parse(p, slab.view, 0, frame.length, frame.length + dice.below(3) * dice.below(1500));
  classifier.classify(p, slab.view, 0);
  if (p.problem !== 0 || p.fragOffset > 0) return;
  for (const block of [generation.outbound, generation.inbound]) {
    if (block === null) continue;
    const linear = new LinearMatcher(block.rules, generation.live).classify(p, slab.view);
    const compiled = block.matcher.classify(p, slab.view);
    if (linear !== compiled) throw new Error(`linear says ${linear}, compiled says ${compiled}`);
  }
}

function tryFrame(): void {
  const frame = dice.mutate(dice.pick(frames));
  const generation = dice.pick(generations);
  guard('frame', frame, () => judge(frame, generation, new Classifier(generation, true)));
}

function tryCapture(): void {
  const bytes = dice.mutate(dice.pick(captures));
  guard('capture', bytes, () => readAll(bytes));
}

function tryRules(): void {
  const text = Buffer.from(dice.mutate(Buffer.from(dice.pick(ruleTexts)))).toString('latin1');
  guard('rules', Buffer.from(text), () => {
    const { ruleSet } = parseRules(text, 'fuzzed');
    if (ruleSet === null) return;
    const generation = compileGeneration(1, ruleSet);
    const classifier = new Classifier(generation, false);
    for (let i = 0; i < 20; i++) judge(dice.pick(frames), generation, classifier);
  });
}

function guard(kind: string, input: Uint8Array, act: () => void): void {
  try {
    act();
  } catch (error) {
    console.error(error);
    console.error(`inputs: this ${kind} broke it, seed=${seed}: ${Buffer.from(input).toString('hex')}`);
    process.exit(1);
  }
}

const end = performance.now() + timeSeconds * 1000;
let runs = 0;
while (performance.now() < end) {
  for (let i = 0; i < ROUND; i++) {
    for (let k = 0; k < 20; k++) tryFrame();
    tryCapture();
    tryRules();
    runs += 22;
  }
}
console.log(`inputs: ${runs} mutated frames, captures and rule files, seed=${seed}: nothing broke`);
