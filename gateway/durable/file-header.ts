import { mix } from './checksum.ts';
import { Unbelievable } from './unbelievable.ts';

export const HEADER_BYTES = 512;
/** Grows whenever a file's layout or the meaning of anything in it changes. */
const VERSION = 1;
const MAGIC = 'HOLDFAST';
const NAME_BYTES = 256;
const AT = {
  magic: 0,
  kind: 8,
  version: 12,
  id: 16,
  parent: 24,
  frames: 32,
  records: 40,
  frameBytes: 48,
  ringBytes: 56,
};
const NAME_AT = 64;
const CHECK_AT = HEADER_BYTES - 4;

export const FILE_KIND = { state: 1, buffer: 2 } as const;

/** What is written once, when the file is made. */
export interface FileHeader {
  readonly kind: (typeof FILE_KIND)[keyof typeof FILE_KIND];
  readonly vm: string;
  /** Another one for each file; never 0. */
  readonly id: number;
  /** Of a buffer: the state file that was in force when it took over the frames; 0: none was. */
  readonly parent: number;
  /** Of a buffer: with how many frames it began. */
  readonly frames: number;
  readonly records: number;
  readonly frameBytes: number;
  readonly ringBytes: number;
}

export function writeHeader(view: DataView, header: FileHeader): void {
  for (let i = 0; i < HEADER_BYTES; i++) view.setUint8(i, 0);
  for (let i = 0; i < MAGIC.length; i++) view.setUint8(AT.magic + i, MAGIC.charCodeAt(i));
  view.setUint32(AT.kind, header.kind, true);
  view.setUint32(AT.version, VERSION, true);
  for (const field of ['id', 'parent', 'frames', 'records', 'frameBytes', 'ringBytes'] as const) {
    view.setFloat64(AT[field], header[field], true);
  }
  const name = nameBytes(header.vm);
  view.setUint16(NAME_AT, name.length, true);
  name.forEach((byte, i) => {
    view.setUint8(NAME_AT + 2 + i, byte);
  });
  view.setInt32(CHECK_AT, checkOf(view), true);
}

/** @throws Unbelievable for what is not such a file of this VM */
export function readHeader(view: DataView, kind: FileHeader['kind'], vm: string): FileHeader {
  if (view.byteLength < HEADER_BYTES) throw new Unbelievable(`it is only ${view.byteLength} bytes long`);
  for (let i = 0; i < MAGIC.length; i++) {
    if (view.getUint8(AT.magic + i) !== MAGIC.charCodeAt(i)) throw new Unbelievable('no file of Holdfast');
  }
  const version = view.getUint32(AT.version, true);
  // Before the check, whose place another version may have changed.
  if (version !== VERSION) throw new Unbelievable(`its format is version ${version}, this gateway's is ${VERSION}`);
  if (view.getInt32(CHECK_AT, true) !== checkOf(view)) throw new Unbelievable('its header is damaged');
  if (view.getUint32(AT.kind, true) !== kind) throw new Unbelievable('it is a file for another purpose');
  const name = nameBytes(vm);
  const isNamed =
    view.getUint16(NAME_AT, true) === name.length && name.every((byte, i) => view.getUint8(NAME_AT + 2 + i) === byte);
  if (!isNamed) throw new Unbelievable("it is another VM's");
  const number = (at: number) => view.getFloat64(at, true);
  return {
    kind,
    vm,
    id: number(AT.id),
    parent: number(AT.parent),
    frames: number(AT.frames),
    records: number(AT.records),
    frameBytes: number(AT.frameBytes),
    ringBytes: number(AT.ringBytes),
  };
}

function nameBytes(vm: string): Uint8Array {
  const bytes = new TextEncoder().encode(vm);
  if (bytes.length > NAME_BYTES) throw new RangeError(`a VM's name takes ${NAME_BYTES} bytes at the most`);
  return bytes;
}

function checkOf(view: DataView): number {
  let check = 1;
  for (let at = 0; at < CHECK_AT; at += 4) check = mix(check, view.getInt32(at, true));
  return check;
}
