import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { L3, type L3Kind, L4, type L4Kind, Parsed } from '../../classifier/parsed.ts';
import type { AppName } from '../../rules/apps.ts';
import { GuardedView } from './parse-frame.ts';

/** Bytes around the payload, which no recogniser may read: an access to the view there throws. */
const MARGIN = 7;

export interface Shape {
  readonly l3?: L3Kind;
  /** UDP, where nothing else is said. */
  readonly l4?: L4Kind;
  readonly ports?: readonly [number, number];
  /** Bytes that the capture kept. */
  readonly captured?: number;
  /** UDP: the payload's bytes by the UDP header, where that differs. */
  readonly told?: number;
  readonly isFirstFragment?: boolean;
}

/** @returns the recogniser's answer to a payload, which it may read only as far as it was captured */
export function askApp(app: AppName, payload: string | ArrayLike<number>, shape: Shape = {}): number {
  const bytes = bytesOf(payload);
  const captured = shape.captured ?? bytes.length;
  const memory = new Uint8Array(MARGIN + bytes.length + MARGIN).fill(0xff);
  memory.set(bytes, MARGIN);
  const p = new Parsed();
  p.l3 = shape.l3 ?? L3.ip4;
  p.l4 = shape.l4 ?? L4.udp;
  [p.srcPort, p.dstPort] = shape.ports ?? [20000, 30000];
  p.udpLength = p.l4 === L4.udp ? (shape.told ?? bytes.length) + 8 : -1;
  p.isFragment = shape.isFirstFragment === true ? 1 : 0;
  p.payloadOffset = MARGIN;
  p.payloadLength = bytes.length;
  p.payloadCaptured = captured;
  return RECOGNISERS[app](p, new GuardedView(memory, MARGIN, MARGIN + captured));
}

/** @returns the answers to every cut of the payload, from nothing captured to all but one byte */
export function askCuts(app: AppName, payload: string | ArrayLike<number>, shape: Shape = {}): number[] {
  const bytes = bytesOf(payload);
  return Array.from(bytes, (_, captured) => askApp(app, bytes, { ...shape, captured }));
}

/** @returns the bytes of a text, character by character, or of numbers */
export function bytesOf(payload: string | ArrayLike<number>): Uint8Array {
  return typeof payload === 'string'
    ? Uint8Array.from(payload, (char) => char.charCodeAt(0))
    : Uint8Array.from(payload);
}
