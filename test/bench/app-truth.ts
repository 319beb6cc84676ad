import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { APPS, type AppName } from '../../rules/apps.ts';
import { captureFiles } from '../support/captures.ts';
import { forEachFrame, type ReferenceRow, referenceByPacket } from '../support/reference-rows.ts';

/** One frame of the reference captures, as tshark and a recogniser see it. */
interface Seen {
  readonly row: ReferenceRow;
  /** What tshark finds directly in the outermost UDP or TCP; '' if nothing, or there is neither. */
  readonly inside: string;
  readonly payload: Uint8Array;
  /** Does tshark find RTP or RTCP between these hosts at an l4Port of one, or the one beside it, anywhere in the file? */
  readonly isBesideMedia: boolean;
  /** The recogniser's answer, `unknown` where the parser holds the frame, so that nobody asks. */
  readonly answer: number;
}

/** A reason for which recogniser and tshark differ, and how to see it in a frame without the recogniser. */
interface Difference {
  readonly name: string;
  /**
   * Whose it is: of the `frame`, which does not hold what would tell, or only a damaged message; of `tshark`, which errs;
   * or of the `recogniser`.
   */
  readonly fault: 'frame' | 'tshark' | 'recogniser';
  readonly holds: (seen: Seen) => boolean;
}

interface Truth {
  /** What counts as this application, and why. */
  readonly rule: string;
  readonly isApp: (row: ReferenceRow, inside: string) => boolean;
  /** Frames that tshark calls the application and the recogniser does not. */
  readonly missed: readonly Difference[];
  /** The other way around. */
  readonly taken: readonly Difference[];
}

const DIRECTLY = 'tshark finds it directly in the outermost UDP or TCP (the column, but not through a tunnel)';
const inside =
  (...names: readonly string[]) =>
  (_: ReferenceRow, found: string) =>
    names.includes(found);
const startsWith = (payload: Uint8Array, pattern: RegExp) => pattern.test(Buffer.from(payload).toString('latin1'));

/** Content type and version of TLS. */
const isRecordHeader = ([content, major, minor]: Uint8Array) =>
  content! >= 20 && content! <= 23 && major === 3 && minor! <= 3;

const CUT: Difference = {
  name: 'the capture cut the evidence off: the answer is unknown',
  fault: 'frame',
  holds: ({ row, answer }) => answer === ANSWER.unknown && row.malformed === 'short',
};
const MALFORMED: Difference = {
  name: 'the message is damaged (tshark: malformed)',
  fault: 'frame',
  holds: ({ row }) => row.malformed === 'malformed',
};
const SRTCP: Difference = {
  name: 'SRTCP, in clear only in its first 8 bytes: tshark sees UDP data, or by heuristic RTP of payload type 64-95',
  fault: 'tshark',
  holds: ({ inside, isBesideMedia, payload }) =>
    inside === 'data' && isBesideMedia && payload[0]! >> 6 === 2 && payload[1]! >= 200 && payload[1]! <= 207,
};

/** What is compared with tshark, application by application. */
export const TRUTHS: Readonly<Record<AppName, Truth>> = {
  bgp: { rule: DIRECTLY, isApp: inside('bgp'), missed: [], taken: [] },
  sip: {
    rule: 'tshark prints a SIP method or status code, and the outermost transport is UDP or TCP',
    isApp: (row) => row.sip !== '' && (row.l4 === 'udp' || row.l4 === 'tcp'),
    missed: [],
    taken: [],
  },
  http: {
    rule: `${DIRECTLY}; later segments of a body included, which tshark calls HTTP too`,
    isApp: inside('http'),
    missed: [
      {
        name: 'the segment starts inside a message',
        fault: 'frame',
        holds: ({ payload }) => !startsWith(payload, /^(HTTP\/|[A-Z]+ )/),
      },
    ],
    taken: [],
  },
  ssh: {
    rule: `${DIRECTLY}; binary packets included, which tshark knows by the connection`,
    isApp: inside('ssh'),
    missed: [
      {
        name: 'a binary packet, or a part of one',
        fault: 'frame',
        holds: ({ payload }) => !startsWith(payload, /^SSH-/),
      },
    ],
    taken: [],
  },
  dhcp: { rule: `${DIRECTLY}; version 6 too`, isApp: inside('dhcp', 'dhcpv6'), missed: [CUT], taken: [] },
  quic: {
    rule: DIRECTLY,
    isApp: inside('quic'),
    missed: [
      {
        name: 'a short header, which tshark knows by the connection',
        fault: 'frame',
        holds: ({ payload }) => payload[0]! < 0x80,
      },
    ],
    taken: [],
  },
  wireguard: { rule: DIRECTLY, isApp: inside('wg'), missed: [], taken: [] },
  dns: {
    rule: `${DIRECTLY}, by l4Port; mDNS and LLMNR are the same format and count, NetBIOS names do not`,
    isApp: inside('dns', 'mdns', 'llmnr'),
    missed: [MALFORMED],
    taken: [],
  },
  tls: {
    rule: `${DIRECTLY}; segments inside a record included, which tshark knows by the connection`,
    isApp: inside('tls'),
    missed: [
      {
        name: 'the segment starts inside a record',
        fault: 'frame',
        holds: ({ payload }) => !isRecordHeader(payload),
      },
    ],
    taken: [
      {
        name: 'TLS records on l4Port 80, where tshark looks for HTTP only',
        fault: 'tshark',
        holds: ({ row, payload }) => (row.sport === '80' || row.dport === '80') && isRecordHeader(payload),
      },
    ],
  },
  rtcp: {
    rule: 'tshark finds RTCP or SRTCP, knowing the call or by heuristic',
    isApp: (row) => row.rtp === 'rtcp' || row.rtp_heur === 'rtcp',
    missed: [],
    taken: [SRTCP],
  },
  rtp: {
    rule: 'tshark finds RTP, knowing the call or by heuristic; the heuristic errs too',
    isApp: (row) => row.rtp === '1' || row.rtp_heur === '1',
    missed: [SRTCP],
    taken: [
      {
        name: 'QUIC with a greased fixed bit; app quic takes it too, and explain names that',
        fault: 'recogniser',
        holds: ({ inside }) => inside === 'quic',
      },
      { name: 'BACnet/IP: starts with 0x81 0x0B', fault: 'recogniser', holds: ({ inside }) => inside === 'bvlc' },
    ],
  },
};

interface AppResult {
  readonly app: AppName;
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly falseNegatives: number;
  /** Those of both that are not the recogniser's fault. */
  readonly rightlyTaken: number;
  readonly rightlyMissed: number;
  /** How often each kind of difference was seen, by its name. */
  readonly differences: ReadonlyMap<string, number>;
  /** Frames that no difference explains. */
  readonly unexplained: readonly string[];
}

interface Counts {
  truePositives: number;
  falsePositives: number;
  falseNegatives: number;
  rightlyTaken: number;
  rightlyMissed: number;
  readonly differences: Map<string, number>;
  readonly unexplained: string[];
}

/** Asks every recogniser about every Ethernet frame of the reference captures that tshark has answers for. */
export function compareWithTshark(): { frames: number; results: AppResult[] } {
  const all = new Map<AppName, Counts>(APPS.map((app) => [app, noCounts()]));
  let frames = 0;
  for (const file of captureFiles()) {
    const rows = referenceByPacket(file);
    const media = new Set([...rows.values()].filter(isMedia).flatMap(mediaEnds));
    forEachFrame(file, (p, slab, packet) => {
      const row = rows.get(String(packet));
      if (row === undefined) return;
      frames++;
      const isAsked = p.problem === 0 && p.payloadCaptured > 0 && p.fragOffset <= 0;
      const payload = new Uint8Array(slab.buffer, slab.byteOffset + Math.max(p.payloadOffset, 0), p.payloadCaptured);
      const found = insideOf(row);
      for (const app of APPS) {
        const answer = isAsked ? RECOGNISERS[app](p, slab) : ANSWER.unknown;
        const seen: Seen = {
          row,
          inside: found,
          payload,
          isBesideMedia: mediaEnds(row).some((end) => media.has(end)),
          answer,
        };
        count(all.get(app)!, TRUTHS[app], seen, `${file} ${packet}`);
      }
    });
  }
  return { frames, results: [...all].map(([app, counts]) => ({ app, ...counts })) };
}

function noCounts(): Counts {
  return {
    truePositives: 0,
    falsePositives: 0,
    falseNegatives: 0,
    rightlyTaken: 0,
    rightlyMissed: 0,
    differences: new Map(),
    unexplained: [],
  };
}

function count(counts: Counts, truth: Truth, seen: Seen, where: string): void {
  const isApp = truth.isApp(seen.row, seen.inside);
  const isTaken = seen.answer >= ANSWER.yes;
  if (!isApp && !isTaken) return;
  if (isApp && isTaken) {
    counts.truePositives++;
    return;
  }
  if (isApp) counts.falseNegatives++;
  else counts.falsePositives++;
  const why = (isApp ? truth.missed : truth.taken).find((difference) => difference.holds(seen));
  if (why === undefined) {
    counts.unexplained.push(`${where} ${isApp ? 'missed' : 'taken'}`);
    return;
  }
  if (why.fault !== 'recogniser') {
    if (isApp) counts.rightlyMissed++;
    else counts.rightlyTaken++;
  }
  counts.differences.set(why.name, (counts.differences.get(why.name) ?? 0) + 1);
}

/** Shares from 0 to 1; null: there is nothing to share. */
export interface Quality {
  /** Of the frames that the recogniser took, those that are the application. */
  readonly precision: number | null;
  /** Of the application's frames, those that the recogniser took. */
  readonly recall: number | null;
}

/** @returns how well the recogniser agrees with tshark, whoever is right */
export function agreementOf({ truePositives, falsePositives, falseNegatives }: AppResult): Quality {
  return {
    precision: share(truePositives, truePositives + falsePositives),
    recall: share(truePositives, truePositives + falseNegatives),
  };
}

/** @returns the same, where neither a frame that cannot tell nor an error of tshark counts against the recogniser */
export function qualityOf(result: AppResult): Quality {
  const { truePositives, falsePositives, falseNegatives, rightlyTaken, rightlyMissed } = result;
  const right = truePositives + rightlyTaken;
  return {
    precision: share(right, truePositives + falsePositives),
    recall: share(right, right + falseNegatives - rightlyMissed),
  };
}

function share(part: number, all: number): number | null {
  return all === 0 ? null : part / all;
}

function insideOf(row: ReferenceRow): string {
  const layers = row.stack!.split(':');
  const transport = layers.findIndex((layer) => layer === 'udp' || layer === 'tcp');
  return transport < 0 ? '' : (layers[transport + 1] ?? '');
}

function isMedia({ rtp, rtp_heur }: ReferenceRow): boolean {
  return rtp !== '0' || rtp_heur !== '0';
}

/** @returns each end with its other one; an even l4Port and the odd one above it are the same (RFC 3550 §11) */
function mediaEnds({ src, sport, dst, dport }: ReferenceRow): string[] {
  const even = (port: string | undefined) => Math.floor(Number(port) / 2) * 2;
  return [`${src} ${even(sport)} ${dst}`, `${dst} ${even(dport)} ${src}`];
}
