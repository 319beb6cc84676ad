import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Checkpoint } from './standby-api.ts';

/** `TERM.EPOCH.BYTES.CRC.image`: a name that is there is a promise that all of it is. */
const IMAGE_NAME = /^(\d+)\.(\d+)\.(\d+)\.([0-9a-f]{8})\.image$/;
const READ_BYTES = 2 ** 20;

/** An image as its name says it. */
export interface NamedImage extends Checkpoint {
  readonly path: string;
  readonly bytes: number;
  readonly crc: number;
}

export function imagePath(folder: string, { term, epoch }: Checkpoint, bytes: number, crc: number): string {
  return join(folder, `${term}.${epoch}.${bytes}.${crc.toString(16).padStart(8, '0')}.image`);
}

/** @returns those in the folder, the newest first */
export function imagesIn(folder: string): NamedImage[] {
  const found = readdirSync(folder).flatMap((name) => {
    const [, term, epoch, bytes, crc] = IMAGE_NAME.exec(name) ?? [];
    if (crc === undefined) return [];
    const numbers = { term: Number(term), epoch: Number(epoch), bytes: Number(bytes), crc: Number.parseInt(crc, 16) };
    return [{ ...numbers, path: join(folder, name) }];
  });
  return found.sort((a, b) => b.term - a.term || b.epoch - a.epoch);
}

/** @returns whether the file is what its name promises */
export function isWhole({ path, bytes, crc }: NamedImage): boolean {
  if (statSync(path).size !== bytes) return false;
  const fd = openSync(path, 'r');
  try {
    const piece = Buffer.alloc(READ_BYTES);
    let sum = 0;
    for (let read = readSync(fd, piece); read > 0; read = readSync(fd, piece))
      sum = crc32(piece.subarray(0, read), sum);
    return sum === crc;
  } finally {
    closeSync(fd);
  }
}
