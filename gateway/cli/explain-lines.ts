import { recognisedApp } from '../../classifier/explain.ts';
import type { Parsed } from '../../classifier/parsed.ts';
import { REASON_NAMES, VERDICT_NAMES, type Verdict } from '../../classifier/verdict.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import { APPS, type AppName, type RuleSet } from '../../rules/rule.ts';
import {
  HEADERS_KEY_WORDS,
  hasTcp,
  headersJson,
  headersKey,
  NO_HEADERS_JSON,
  ruleShown,
  timeText,
} from './explain-json.ts';
import type { Judged } from './judge.ts';
import type { Output } from './output.ts';

/** Flows whose text is remembered; one gives way to another of the same hash. */
const SLOTS = 4096;

const encoder = new TextEncoder();
const encode = (text: string) => encoder.encode(text);

const PKT = encode('{"pkt":');
const NO_TIME = encode(',"time":null,"len":');
const LEN = encode('","len":');
const CAP_LEN = encode(',"capLen":');
const LINK_TYPE = encode(',"linkType":');
const TCP_ACK = encode(',"tcpAck":');
const PAYLOAD_LEN = encode(',"payloadLen":');
const NULL = encode('null');
const NO_HEADERS = encode(NO_HEADERS_JSON);

/** Writes explain's JSON lines: most of a line is text that was encoded once, for an earlier frame of its flow. */
export class ExplainLines {
  readonly #output: Output;
  readonly #head: Uint8Array;
  readonly #ruleSet: RuleSet;
  /** What follows the fields of the headers, by all that it depends on. */
  readonly #decisions = new Map<number, Uint8Array>();
  #second = Number.NaN;
  /** What stands before the fraction of `#second`. */
  #secondText = NO_TIME;
  readonly #key = new Int32Array(HEADERS_KEY_WORDS);
  readonly #keys = new Int32Array(SLOTS * HEADERS_KEY_WORDS);
  readonly #headers: (Uint8Array | undefined)[] = new Array<Uint8Array | undefined>(SLOTS).fill(undefined);

  /** @param file the capture's name, null where there is only one */
  constructor(output: Output, ruleSet: RuleSet, file: string | null) {
    this.#output = output;
    this.#head = encode(file === null ? '' : `,"file":${JSON.stringify(file)}`);
    this.#ruleSet = ruleSet;
  }

  write(judged: Judged, record: CaptureRecord, pkt: number): void {
    const output = this.#output;
    output.encoded(PKT);
    output.number(pkt);
    output.encoded(this.#head);
    this.#writeTime(record);
    output.number(record.wireLength);
    output.encoded(CAP_LEN);
    output.number(record.capturedLength);
    if (judged.isEthernet) {
      this.#writeHeaders(judged.parsed);
      output.encoded(this.#decisionOf(judged, recognisedApp(judged.parsed, record.view)));
    } else {
      output.encoded(LINK_TYPE);
      output.number(record.linkType);
      output.encoded(NO_HEADERS);
      output.encoded(this.#decisionOf(judged, null));
    }
  }

  /** Writes the time and the key of the length. */
  #writeTime({ hasTime, seconds, nanoseconds }: CaptureRecord): void {
    const output = this.#output;
    if (!hasTime) {
      output.encoded(NO_TIME);
      return;
    }
    if (seconds !== this.#second) {
      this.#second = seconds;
      this.#secondText = encode(`,"time":"${seconds}.`);
    }
    if (seconds >= 0) {
      output.encoded(this.#secondText);
      output.digits(nanoseconds, 9);
    } else {
      output.write(`,"time":"${timeText(seconds, nanoseconds)}`);
    }
    output.encoded(LEN);
  }

  #writeHeaders(p: Parsed): void {
    const output = this.#output;
    output.encoded(this.#headersOf(p));
    if (hasTcp(p)) {
      output.number(p.tcpSeq >>> 0);
      output.encoded(TCP_ACK);
      output.number(p.tcpAck >>> 0);
      output.encoded(PAYLOAD_LEN);
    }
    if (p.payloadLength < 0) output.encoded(NULL);
    else output.number(p.payloadLength);
  }

  #headersOf(p: Parsed): Uint8Array {
    if (!headersKey(this.#key, p)) return encode(headersJson(p));
    const slot = hash(this.#key) & (SLOTS - 1);
    const known = this.#headers[slot];
    if (known !== undefined && this.#isKeyOf(slot)) return known;
    const made = encode(headersJson(p));
    this.#keys.set(this.#key, slot * HEADERS_KEY_WORDS);
    this.#headers[slot] = made;
    return made;
  }

  #isKeyOf(slot: number): boolean {
    const base = slot * HEADERS_KEY_WORDS;
    for (let i = 0; i < HEADERS_KEY_WORDS; i++) if (this.#keys[base + i] !== this.#key[i]) return false;
    return true;
  }

  #decisionOf({ isOutbound, verdict, reason, rule }: Judged, app: AppName | null): Uint8Array {
    const appCode = app === null ? 0 : APPS.indexOf(app) + 1;
    const code = (((rule + 1) * (APPS.length + 1) + appCode) * REASON_NAMES.length + reason) * 8;
    const key = code + verdict * 2 + (isOutbound ? 1 : 0);
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const rules = isOutbound ? this.#ruleSet.outbound : this.#ruleSet.inbound;
    const decider = rule < 0 ? null : rules![rule]!;
    const made = encode(
      `,"app":${app === null ? null : `"${app}"`},"direction":"${isOutbound ? 'outbound' : 'inbound'}"` +
        `,"class":${JSON.stringify(decider?.className ?? null)},"verdict":"${VERDICT_NAMES[verdict as Verdict]}"` +
        `,"rule":${JSON.stringify(decider === null ? null : ruleShown(decider))},"reason":"${REASON_NAMES[reason]}"}\n`,
    );
    this.#decisions.set(key, made);
    return made;
  }
}

function hash(key: Int32Array): number {
  let h = 0;
  for (let i = 0; i < HEADERS_KEY_WORDS; i++) h = Math.imul(h ^ key[i]!, 0x85ebca6b);
  return h ^ (h >>> 16);
}
