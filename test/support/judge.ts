import { compileGeneration, type Generation } from '../../classifier/classifier.ts';
import { parseRules } from '../../rules/parse.ts';
import type { VerdictName } from '../../rules/rule.ts';
import { FRAGMENT_SPANS, type Frame, type FrameSpec, type Kind } from './frames.ts';

/** A rule as text, and what it means for the frames of the tests, said apart from any code of the project. */
interface KnownRule {
  readonly text: string;
  readonly verdict: VerdictName;
  /** Would pass under the TCP guard, which is not there. */
  readonly isGuarded: boolean;
  /** UDP keeps its order. */
  readonly isOrdered: boolean;
  /** Answered by the Ethernet header alone. */
  readonly isLayer2: boolean;
  readonly matches: (frame: FrameSpec) => boolean;
}

const TAGGED: readonly Kind[] = ['sctp', 'raw'];
const isTcp = (f: FrameSpec) => f.kind === 'tcp' || f.kind === 'tcp-first';
const isUdp = (f: FrameSpec) => f.kind === 'udp' || f.kind === 'udp-first';
const isIp = (f: FrameSpec) => isTcp(f) || isUdp(f) || f.kind === 'sctp';

function rule(text: string, verdict: VerdictName, matches: (f: FrameSpec) => boolean): KnownRule {
  return {
    text,
    verdict,
    matches,
    isGuarded: text.includes(' guard'),
    isOrdered: text.includes(' ordered'),
    isLayer2: /^(vlan|ether|default)/.test(text),
  };
}

function priority(pcp: number, verdict: VerdictName): KnownRule {
  return rule(`vlan pcp ${pcp} ${verdict}`, verdict, (f) => f.vlan > 0 && TAGGED.includes(f.kind) && f.colour === pcp);
}

interface KnownRules {
  readonly outbound: readonly KnownRule[];
  /** Their texts differ from those of outbound rules; null: no such block. */
  readonly inbound: readonly KnownRule[] | null;
}

const isShort = (f: FrameSpec) => 8 + 4 + f.pad < 40;

/** Three generations that disagree about many frames. */
const RULE_SETS: readonly KnownRules[] = [
  {
    inbound: null,
    outbound: [
      priority(1, 'pass'),
      priority(2, 'hold'),
      priority(3, 'drop'),
      rule('tcp flags & urg != 0 drop', 'drop', (f) => isTcp(f) && f.colour === 2),
      rule('tcp flags & (syn|fin|rst) != 0 hold', 'hold', (f) => isTcp(f) && f.colour === 1),
      rule('meta l4proto tcp pass', 'pass', isTcp),
      rule('udp dport 5000 pass', 'pass', (f) => isUdp(f) && f.colour === 0),
      rule(
        'udp dport 5003 udp length < 40 class data ordered',
        'pass',
        (f) => isUdp(f) && f.colour === 3 && isShort(f),
      ),
      rule('udp dport 5003 class control ordered', 'hold', (f) => isUdp(f) && f.colour === 3),
      rule('udp dport 5002 drop', 'drop', (f) => isUdp(f) && f.colour === 2),
      rule('arp operation 1 pass', 'pass', (f) => f.kind === 'arp' && f.colour === 0),
      rule('arp operation 3 drop', 'drop', (f) => f.kind === 'arp' && f.colour === 2),
      rule('ip protocol sctp pass', 'pass', (f) => f.kind === 'sctp'),
      rule('default hold', 'hold', () => true),
    ],
  },
  {
    inbound: [
      rule('udp dport 5002 drop comment "in"', 'drop', (f) => isUdp(f) && f.colour === 2),
      rule('tcp flags & urg != 0 drop comment "in"', 'drop', (f) => isTcp(f) && f.colour === 2),
      rule('arp operation 1 pass comment "in"', 'pass', (f) => f.kind === 'arp' && f.colour === 0),
    ],
    outbound: [
      priority(3, 'hold'),
      rule('ether type 0x88b5 pass', 'pass', (f) => f.kind === 'raw'),
      rule('tcp flags & psh != 0 class data guard', 'hold', (f) => isTcp(f) && f.colour === 3),
      rule('tcp flags & syn != 0 hold', 'hold', (f) => isTcp(f) && f.colour === 1),
      rule('meta l4proto tcp pass', 'pass', isTcp),
      rule('udp dport 5001-5003 pass', 'pass', (f) => isUdp(f) && f.colour >= 1),
      rule('arp operation 2 pass', 'pass', (f) => f.kind === 'arp' && f.colour === 1),
    ],
  },
  {
    inbound: [
      rule('vlan pcp 3 drop comment "in"', 'drop', (f) => f.vlan > 0 && TAGGED.includes(f.kind) && f.colour === 3),
      rule('udp dport 5001 class data comment "in"', 'pass', (f) => isUdp(f) && f.colour === 1),
      rule('default drop comment "in"', 'drop', () => true),
    ],
    outbound: [
      priority(1, 'hold'),
      rule('tcp flags & syn != 0 pass', 'pass', (f) => isTcp(f) && f.colour === 1),
      rule('meta l4proto tcp hold', 'hold', isTcp),
      rule(
        'udp dport 5003 udp length >= 40 class control ordered',
        'hold',
        (f) => isUdp(f) && f.colour === 3 && !isShort(f),
      ),
      rule('udp dport 5003 class data ordered', 'pass', (f) => isUdp(f) && f.colour === 3),
      rule('ip saddr 10.0.0.0/8 pass', 'pass', isIp),
      rule('default pass', 'pass', () => true),
    ],
  },
];
export const RULE_SET_COUNT = RULE_SETS.length;

const compiled = RULE_SETS.map(({ outbound, inbound }, i) => {
  const block = (rules: readonly KnownRule[]) => `{\n${rules.map((known) => `  ${known.text}\n`).join('')}}\n`;
  const blocks = `outbound ${block(outbound)}${inbound === null ? '' : `inbound ${block(inbound)}`}`;
  const text = `class data pass\nclass control hold\n${blocks}`;
  const { ruleSet, errors } = parseRules(text, `set${i}.rules`);
  if (ruleSet === null) throw new Error(JSON.stringify(errors));
  return compileGeneration(i + 1, ruleSet);
});

/** @returns the same rules in the project's own form, made from their text */
export function generationOf(ruleSet: number): Generation {
  return compiled[ruleSet]!;
}

export interface Judgement {
  readonly verdict: VerdictName;
  readonly reason: string;
  readonly unclassified: boolean;
  /** Whatever its kind, the frame keeps the order of its flow. */
  readonly ordered: boolean;
  /** Text of the deciding rule. */
  readonly rule: string | null;
}

interface Packet {
  readonly rule: KnownRule | null;
  readonly bornNs: number;
  readonly seen: (readonly [number, number])[];
  isSpoiled: boolean;
}

/** How long the first fragment's verdict is remembered. */
const FRAGMENT_TIMEOUT_NS = 30e9;

/** Naive judge: rules top to bottom, and what became of the first fragment of each packet. */
export class Judge {
  ruleSet: number;
  readonly #direction: 'outbound' | 'inbound';
  readonly #packets = new Map<string, Packet>();

  constructor(ruleSet: number, direction: 'outbound' | 'inbound') {
    this.ruleSet = ruleSet;
    this.#direction = direction;
  }

  get #rules(): readonly KnownRule[] | null {
    return RULE_SETS[this.ruleSet]![this.#direction];
  }

  /** Another rule set takes force; first fragments that the old one judged are not spoken of any more. */
  swap(ruleSet: number): void {
    this.ruleSet = ruleSet;
    this.#packets.clear();
  }

  texts(): string[] {
    return (this.#rules ?? []).map((known) => known.text);
  }

  judge(frame: Frame, nowNs: number): Judgement {
    if (this.#rules === null) return this.#decision(null);
    if (frame.linkType !== 1) return { ...this.#unclassified('not-ethernet'), verdict: 'drop' };
    if (frame.kind === 'cut' || frame.kind === 'stub') return this.#unclassified('truncated');
    const [protocol, part] = frame.kind.split('-');
    if (part === undefined) return this.#byRules(frame);
    const key = `${protocol}/${frame.flow}/${frame.vlan}`;
    let packet = this.#packets.get(key);
    if (packet !== undefined && nowNs - packet.bornNs > FRAGMENT_TIMEOUT_NS) {
      this.#packets.delete(key);
      packet = undefined;
    }
    const span = FRAGMENT_SPANS[part as keyof typeof FRAGMENT_SPANS];
    if (part === 'first') {
      if (packet !== undefined) {
        packet.isSpoiled = true;
        return this.#unclassified('fragment-overlap');
      }
      this.#packets.set(key, { rule: this.#find(frame), bornNs: nowNs, seen: [span], isSpoiled: false });
      return this.#byRules(frame);
    }
    if (packet === undefined) return this.#unclassified('fragment-unknown');
    if (packet.isSpoiled || packet.seen.some(([from]) => from === span[0])) {
      packet.isSpoiled = true;
      return this.#unclassified('fragment-overlap');
    }
    packet.seen.push(span);
    if (packet.seen.length === 3) this.#packets.delete(key);
    return { ...this.#decision(packet.rule), reason: 'fragment' };
  }

  #find(frame: FrameSpec): KnownRule | null {
    return this.#rules!.find((known) => known.matches(frame)) ?? null;
  }

  #byRules(frame: FrameSpec): Judgement {
    if (frame.kind === 'raw') {
      // The first rule that this frame does not contradict must be one that its Ethernet header can answer.
      for (const known of this.#rules!) {
        if (!known.isLayer2) return this.#unclassified('unknown-ethertype');
        if (known.matches(frame)) break;
      }
    }
    return this.#decision(this.#find(frame));
  }

  #unclassified(reason: string): Judgement {
    const verdict = this.#direction === 'outbound' ? 'hold' : 'drop';
    return { verdict, reason, unclassified: true, ordered: false, rule: null };
  }

  #decision(known: KnownRule | null): Judgement {
    const plain = { unclassified: false, ordered: known?.isOrdered ?? false, rule: known?.text ?? null };
    if (known === null && this.#direction === 'inbound') return { ...plain, verdict: 'pass', reason: 'inbound' };
    if (known === null) return { ...plain, verdict: 'hold', reason: 'no-default' };
    if (known.isGuarded) return { ...plain, verdict: 'hold', reason: 'guard' };
    return { ...plain, verdict: known.verdict, reason: known.text.startsWith('default') ? 'default' : 'rule' };
  }
}
