import { constraintsOf, fieldKey, impliedBy, KEY, L3_VALUE } from './coordinates.ts';
import { includes } from './intervals.ts';
import { fieldOperand, formatBits } from './operand.ts';
import { FIELDS, type FieldName, type Interval, type Match, type RawMatch, type Rule } from './rule.ts';

export const TCP = 6n;
export const UDP = 17n;

/** What the matches of a rule say of a frame of which not everything is known. */
type Guess = 'yes' | 'no' | 'unknown';

/** A frame as far as rules can read it: whole, undamaged, not fragmented. */
export interface ImaginedFrame {
  /** By coordinate (coordinates.ts): every field that the frame has, its network header, and whether there is a tag, … */
  readonly values: ReadonlyMap<string, bigint>;
  /** Bytes from the Ethernet header on, without FCS. */
  readonly lengthBytes: number;
  /** Where the network header starts. */
  readonly networkOffset: number;
  /** Where the IP header ends; null without one. */
  readonly transportOffset: number | null;
  readonly hasPayload: boolean;
  /** What is taken for granted about applications, sets and declarations, by coordinate. */
  readonly stated: ReadonlyMap<string, bigint>;
}

/** As the matcher would answer: `no` if any match is no, else `unknown` if any is unknown, else `yes`. */
export function guessRule(rule: Pick<Rule, 'matches' | 'className'>, frame: ImaginedFrame): Guess {
  let guess: Guess = 'yes';
  for (const match of rule.matches) {
    const one = guessMatch(match, rule.className, frame);
    if (one === 'no') return 'no';
    if (one === 'unknown') guess = 'unknown';
  }
  return guess;
}

function guessMatch(match: Match, className: string | null, frame: ImaginedFrame): Guess {
  switch (match.kind) {
    case 'field': {
      const carried = carries(frame, [match.field]);
      if (carried !== 'yes') return carried;
      const value = fieldValue(frame, match.field) & (match.mask ?? -1n);
      return sure(includes(match.intervals, value) !== match.negated);
    }
    case 'concat': {
      const carried = carries(frame, match.fields);
      return carried === 'yes' ? sure(isInTuple(frame, match.fields, match.tuples) !== match.negated) : carried;
    }
    case 'set': {
      const carried = carries(frame, match.fields);
      return carried === 'yes' ? guessStated(match, className, frame) : carried;
    }
    case 'raw':
      return guessRaw(match, frame);
    case 'app':
      if (!isUnread(frame) && !mayBeApplication(frame)) return sure(match.negated && match.types === null);
      return guessStated(match, className, frame);
    case 'declared':
      return guessStated(match, className, frame);
  }
}

function sure(isTrue: boolean): Guess {
  return isTrue ? 'yes' : 'no';
}

/** A network header that is not read: nothing above layer 2 can be answered. */
function isUnread(frame: ImaginedFrame): boolean {
  return frame.values.get(KEY.l3) === L3_VALUE.other;
}

function carries(frame: ImaginedFrame, fields: readonly FieldName[]): Guess {
  let guess: Guess = 'yes';
  for (const field of fields) {
    if (isUnread(frame) && FIELDS[field].layer !== 'l2') guess = 'unknown';
    else if (!impliedBy(field).every(({ key, set }) => includes(set, frame.values.get(key) ?? 0n))) return 'no';
  }
  return guess;
}

function fieldValue(frame: ImaginedFrame, field: FieldName): bigint {
  return frame.values.get(fieldKey(field))!;
}

function isInTuple(
  frame: ImaginedFrame,
  fields: readonly FieldName[],
  tuples: readonly (readonly Interval[])[],
): boolean {
  const values = fields.map((field) => fieldValue(frame, field));
  return tuples.some((tuple) => tuple.every(({ low, high }, i) => low <= values[i]! && values[i]! <= high));
}

function guessStated(match: Match, className: string | null, frame: ImaginedFrame): Guess {
  const { key, set } = constraintsOf(match, { id: '', className }).at(-1)!;
  const value = frame.stated.get(key);
  return value === undefined || isUnread(frame) ? 'unknown' : sure(includes(set, value));
}

/** No recogniser takes frames without payload, or over anything but TCP and UDP. */
function mayBeApplication(frame: ImaginedFrame): boolean {
  const protocol = frame.values.get('meta.l4proto');
  return frame.hasPayload && (protocol === TCP || protocol === UDP);
}

/** Which bits stand there is not known; whether there are any is. */
function guessRaw(match: RawMatch, frame: ImaginedFrame): Guess {
  if (match.base === 'th' && isUnread(frame)) return 'unknown';
  const start = { ll: 0, nh: frame.networkOffset, th: frame.transportOffset }[match.base];
  if (start === null) return 'no';
  return start * 8 + match.offsetBits + match.lengthBits > frame.lengthBytes * 8 ? 'no' : 'unknown';
}

/** The values that the frame has in the fields of these matches, as rules write them: `ip saddr 192.0.2.1, udp dport 53`. */
export function describe(matches: readonly Match[], frame: ImaginedFrame): string {
  const fields = new Set(
    matches.flatMap((match) => ('fields' in match ? match.fields : 'field' in match ? [match.field] : [])),
  );
  return [...fields]
    .map((field) => {
      const operand = fieldOperand(field);
      const value = fieldValue(frame, field);
      const isBits = field === 'tcp.flags' || field === 'ip.frag-off' || field === 'ether.type';
      return `${operand.text} ${operand.syntax.kind === 'number' && !isBits ? value : formatBits(operand, value)}`;
    })
    .join(', ');
}
