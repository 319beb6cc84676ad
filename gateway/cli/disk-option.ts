import { InvalidArgumentError } from 'commander';
import type { StandbyDisk } from '../protect/standby-disks.ts';

const SIZE = /^(\d{1,14})([KMGT]?)$/;
const UNITS: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `20G`, `512M`, `1T` or plain bytes. */
export function diskSize(text: string): number {
  const [, value, unit] = SIZE.exec(text) ?? [];
  const bytes = Number(value) * (UNITS[unit ?? ''] ?? 1);
  if (!Number.isSafeInteger(bytes) || bytes < 1)
    throw new InvalidArgumentError('expected a size such as 20G, 512M or 1T');
  return bytes;
}

/** `NAME=IMAGE[,size=SIZE][,log=FOLDER]`, one more of them. The log's folder is the image's path with `.redo`, unless it is named. */
export function standbyDisk(text: string, before: readonly StandbyDisk[]): readonly StandbyDisk[] {
  const [head, ...settings] = text.split(',');
  const [, name, image] = /^([^=]+)=(.+)$/.exec(head!) ?? [];
  const values = new Map<string, string>();
  for (const setting of settings) {
    const [, key, value] = /^(size|log)=(.+)$/.exec(setting) ?? [];
    if (key !== undefined && value !== undefined) values.set(key, value);
  }
  if (name === undefined || image === undefined || values.size < settings.length) {
    throw new InvalidArgumentError('expected NAME=IMAGE, and perhaps ,size=SIZE and ,log=FOLDER');
  }
  if (before.some((disk) => disk.name === name)) throw new InvalidArgumentError(`there is a disk ${name} already`);
  const size = values.get('size');
  const sizeBytes = size === undefined ? {} : { sizeBytes: diskSize(size) };
  return [...before, { name, image, log: values.get('log') ?? `${image}.redo`, ...sizeBytes }];
}

/** The name of one more drive. */
export function driveName(text: string, before: readonly string[]): readonly string[] {
  if (text === '') throw new InvalidArgumentError('expected the name of a drive');
  if (before.includes(text)) throw new InvalidArgumentError(`${text} is named twice`);
  return [...before, text];
}
