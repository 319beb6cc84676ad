interface Frame {
  readonly serial: number;
  /** -1: keeps nobody's order. */
  readonly flow: number;
  label: number;
  readonly isHeld: boolean;
  mayLeave: boolean;
  /** `unknown`: the process died while it dealt with the frame. */
  stored: 'unsaid' | 'yes' | 'unknown';
  isDiscarded: boolean;
  timesSent: number;
}

export interface Verdict {
  readonly sent: number;
  readonly sentTwice: number;
  /** What recoveries told of frames that may be sent again. */
  readonly resent: number;
  readonly discarded: number;
  readonly recoveries: number;
}

/**
 * Reads the log of a gateway's lives (gateway-life.ts) and holds it against the promises.
 * @throws Error that names the first promise that is broken
 */
export function judgeHistory(log: string): Verdict {
  const frames = new Map<number, Frame>();
  /** Frames of which nobody has said yet that they are stored. */
  let unsaid: Frame[] = [];
  const lastOf = new Map<number, number>();
  let term = 0;
  /** What was asked and not answered yet. */
  let asked: { readonly what: 'rollback' | 'start'; readonly epoch: number } | null = null;
  let sentTwice = 0;
  let resent = 0;
  let recoveries = 0;
  let isEnded = false;

  const release = (epoch: number) => {
    for (const frame of frames.values()) if (frame.label <= epoch) frame.mayLeave = true;
  };
  const answer = () => {
    if (asked?.what === 'rollback') {
      const { epoch } = asked;
      release(epoch);
      for (const frame of frames.values()) if (frame.label > epoch && frame.timesSent === 0) frame.isDiscarded = true;
    } else if (asked?.what === 'start') {
      for (const frame of frames.values()) frame.label = frame.mayLeave ? 0 : 1;
    }
    asked = null;
  };
  const sent = (serial: number) => {
    const frame = frames.get(serial);
    if (frame === undefined) throw new Error(`frame ${serial} left, and the VM never sent it`);
    if (frame.isDiscarded) throw new Error(`frame ${serial} left after it was rolled back`);
    if (frame.isHeld && !frame.mayLeave) {
      // A rollback commits too: it was asked, and the process may have died before it could say so.
      const isAsked = asked?.what === 'rollback' && frame.label <= asked.epoch;
      if (!isAsked) throw new Error(`frame ${serial} of epoch ${frame.label} left before its commit`);
    }
    if (frame.timesSent++ > 0) {
      sentTwice++;
      return;
    }
    if (frame.flow < 0) return;
    if (serial < (lastOf.get(frame.flow) ?? -1)) throw new Error(`frame ${serial} was overtaken in its flow`);
    lastOf.set(frame.flow, serial);
  };

  for (const line of log.split('\n').slice(0, -1)) {
    const [word, ...rest] = line.split(' ');
    const [a, b, c] = rest.map(Number) as [number, number, number];
    if (word === 's') {
      const isHeld = rest[3] === 'hold';
      const frame: Frame = {
        serial: a,
        flow: b,
        label: c,
        isHeld,
        mayLeave: false,
        stored: 'unsaid',
        isDiscarded: false,
        timesSent: 0,
      };
      frames.set(a, frame);
      unsaid.push(frame);
    } else if (word === 'stored-to') {
      for (const frame of unsaid) frame.stored = 'yes';
      unsaid = [];
    } else if (word === 'w') {
      sent(a);
    } else if (word === 'commit') {
      release(a);
    } else if (word === 'rollback') {
      asked = { what: 'rollback', epoch: a };
    } else if (word === 'start') {
      asked = { what: 'start', epoch: 0 };
    } else if (word === 'rolled-back' || word === 'started') {
      answer();
      term = a;
    } else if (word === 'recovered') {
      recoveries++;
      resent += c;
      if (a < term) throw new Error(`the term fell from ${term} to ${a}`);
      if (rest[3] !== '0') throw new Error('a file was not believed');
      // The process may have died after the change and before it could say so.
      if (a > term) answer();
      asked = null;
      term = a;
      for (const frame of unsaid) frame.stored = 'unknown';
      unsaid = [];
    } else if (word === 'end') {
      isEnded = true;
    }
  }
  for (const frame of frames.values()) {
    const isLost = frame.isHeld && frame.stored === 'yes' && !frame.isDiscarded && frame.timesSent === 0;
    if (isEnded && isLost) throw new Error(`frame ${frame.serial} of epoch ${frame.label} was stored and never left`);
  }
  const all = [...frames.values()];
  return {
    sent: all.filter((frame) => frame.timesSent > 0).length,
    sentTwice,
    resent,
    discarded: all.filter((frame) => frame.isDiscarded).length,
    recoveries,
  };
}
