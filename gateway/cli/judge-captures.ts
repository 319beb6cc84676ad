import type { Generation } from '../../classifier/classifier.ts';
import type { CaptureRecord } from '../../pcaps/record.ts';
import type { VmAddresses } from '../vm-addresses.ts';
import { advance, checkNames, openCapture, reportDamage } from './captures.ts';
import { EXIT } from './failure.ts';
import { beginCapture, Judged, judge } from './judge.ts';
import { Progress } from './progress.ts';

export interface JudgeOptions {
  readonly vm: VmAddresses;
  readonly verifyChecksums: boolean;
}

/** One frame, under each of the generations. All of it is filled again for the next frame. */
export interface JudgedFrame {
  readonly path: string;
  /** In its capture, from 1. */
  readonly pkt: number;
  readonly record: CaptureRecord;
  /** By generation. */
  readonly judged: readonly Judged[];
}

/**
 * Judges every frame of captures as `holdfast explain` does, under several generations of rules at once.
 * @returns the exit code: 1 where a capture is damaged, which is reported on stderr
 * @throws Failure
 */
export async function judgeCaptures(
  paths: readonly string[],
  generations: readonly Generation[],
  { vm, verifyChecksums }: JudgeOptions,
  visit: (frame: JudgedFrame) => void,
): Promise<number> {
  checkNames(paths);
  const progress = new Progress();
  let exitCode: number = EXIT.ok;
  for (const path of paths) {
    const capture = await openCapture(path);
    const { cursor } = capture;
    const classifiers = generations.map((generation) => beginCapture(generation, verifyChecksums));
    const judged = generations.map(() => new Judged());
    const frame = { path, pkt: 0, record: cursor.record, judged };
    for (;;) {
      const moved = advance(capture);
      if (!(typeof moved === 'boolean' ? moved : await moved)) break;
      frame.pkt++;
      for (let i = 0; i < judged.length; i++) judge(judged[i]!, cursor.record, classifiers[i]!, vm);
      visit(frame);
      if ((frame.pkt & 0xfff) === 0) progress.show(cursor.bytesRead, cursor.totalBytes, frame.pkt);
    }
    progress.end();
    exitCode = Math.max(exitCode, reportDamage(capture));
    await cursor.close();
  }
  return exitCode;
}
