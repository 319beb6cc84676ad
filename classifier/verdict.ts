/** What becomes of a frame. Zero is the safe value. */
export const VERDICT = { hold: 0, drop: 1, pass: 2 } as const;
export type Verdict = (typeof VERDICT)[keyof typeof VERDICT];
export const VERDICT_NAMES = ['hold', 'drop', 'pass'] as const;

/**
 * Why a frame got its verdict: the closed list, which README prints too.
 * The text is for people; the name is stable.
 */
export const REASON = {
  /** Zero: nobody has judged the frame yet; never counted. */
  unjudged: 0,
  rule: 1,
  default: 2,
  noDefault: 3,
  inbound: 4,
  fragment: 5,
  truncated: 6,
  malformed: 7,
  unknownEtherType: 8,
  tooManyHeaders: 9,
  badChecksum: 10,
  fragmentUnknown: 11,
  fragmentOverlap: 12,
  fragmentNoL4: 13,
  notEthernet: 14,
  behindHeld: 15,
  notReplicated: 16,
  waiting: 17,
  bufferFull: 18,
  unclassifiedFull: 19,
  behindFull: 20,
  sealOverflow: 21,
  oversize: 22,
  vmFailed: 23,
  beforeFirstSeal: 24,
  guard: 25,
  undecided: 26,
  lease: 27,
  fenced: 28,
} as const;
export type Reason = (typeof REASON)[keyof typeof REASON];

/** Indexed by reason code: the name that counters, JSON and captures use. */
export const REASON_NAMES = [
  'unjudged',
  'rule',
  'default',
  'no-default',
  'inbound',
  'fragment',
  'truncated',
  'malformed',
  'unknown-ethertype',
  'too-many-headers',
  'bad-checksum',
  'fragment-unknown',
  'fragment-overlap',
  'fragment-no-l4',
  'not-ethernet',
  'behind-held',
  'not-replicated',
  'waiting',
  'buffer-full',
  'unclassified-full',
  'behind-full',
  'seal-overflow',
  'oversize',
  'vm-failed',
  'before-first-seal',
  'guard',
  'undecided',
  'lease',
  'fenced',
] as const;
export type ReasonName = (typeof REASON_NAMES)[number];

/** Indexed by reason code: one line for people. */
export const REASON_TEXTS: readonly string[] = [
  'not judged',
  'a rule matched',
  "the rule set's default",
  'no rule matched and the rule set has no default: held',
  'travels to the VM',
  'a later fragment: inherits the verdict of its first fragment',
  'shorter than its own headers say: held (inbound: dropped)',
  'a header contradicts itself: held (inbound: dropped)',
  'an EtherType that is not parsed, and the next rule needs more than Ethernet: held (inbound: dropped)',
  'more VLAN tags, MPLS labels or IPv6 extension headers than are followed: held (inbound: dropped)',
  'the IPv4 header checksum is wrong: held (inbound: dropped)',
  'a later fragment whose first fragment was not seen: held (inbound: dropped)',
  'a fragment that overlaps another of its packet: held (inbound: dropped)',
  'a first fragment without a whole transport header: held (inbound: dropped)',
  'the capture record is not an Ethernet frame: dropped',
  'would pass, but an earlier frame of its flow still waits',
  'the VM is not replicated: what would be held passes',
  'the VM waits for its host: everything is held',
  'the transmit buffer is full: dropped',
  "unclassifiable traffic's share of the transmit buffer is full: dropped",
  'the share of the transmit buffer for frames behind held ones is full: dropped',
  'more frames were drained at a seal than the reserve takes: dropped',
  'longer than a frame slot: dropped',
  'sent after the VM failed: dropped',
  'sent before the first seal, which the first checkpoint contains: passes',
  'passes only under the TCP guard, which is not there: held',
  'what the next rule asks for was cut off, or the frame has messages of several types: held (inbound: dropped)',
  'the host has been silent for longer than its lease: everything is held',
  'sent by the machine that the VM was on before a failover: dropped',
];
