import type { ByteQueue } from './byte-queue.ts';
import type { DiskBarrier } from './disk-barrier.ts';
import { BLOCK_SIZE, EXPORT_FLAG, HANDSHAKE_FLAG, INFO, MAGIC, MAX_NAME_BYTES, OPTION, REPLY } from './nbd-protocol.ts';

/** What a server offers. */
export interface Exports {
  /** @param name empty: the default one */
  find(name: string): DiskBarrier | null;
  /** null: nobody is told */
  names(): readonly string[] | null;
}

export interface HandshakeOwner {
  readonly exports: Exports;
  /** TLS must be asked for before anything else. */
  readonly wantsTls: boolean;
  send(bytes: Uint8Array): void;
  /** The rest of the connection belongs to TLS. */
  startTls(): void;
}

/** What follows: more of the handshake, the end, or requests for a disk. */
export type HandshakeResult = 'go-on' | 'close' | DiskBarrier;

const OPTION_HEAD_BYTES = 16;
/** A name and some numbers; the protocol's other options are longer only for who misuses them. */
const MAX_OPTION_BYTES = MAX_NAME_BYTES + 1024;
/** In the reply to EXPORT_NAME, for clients that do not decline them. */
const PADDING_BYTES = 124;
const FLAGS =
  EXPORT_FLAG.hasFlags |
  EXPORT_FLAG.sendFlush |
  EXPORT_FLAG.sendFua |
  EXPORT_FLAG.sendTrim |
  EXPORT_FLAG.sendWriteZeroes |
  EXPORT_FLAG.canMultiConn |
  EXPORT_FLAG.sendFastZero;

/** What the server says first. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(MAGIC.init, 0);
  bytes.writeBigUInt64BE(MAGIC.option, 8);
  bytes.writeUInt16BE(HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes, 16);
  return bytes;
}

/** The server's side of the fixed newstyle negotiation. */
export class Handshake {
  readonly #owner: HandshakeOwner;
  #wantsTls: boolean;
  #clientFlags: number | null = null;
  #head: { readonly option: number; readonly length: number } | null = null;

  constructor(owner: HandshakeOwner) {
    this.#owner = owner;
    this.#wantsTls = owner.wantsTls;
  }

  /** Takes what has arrived. @returns null where more must arrive first */
  step(input: ByteQueue): HandshakeResult | null {
    if (this.#clientFlags === null) {
      if (input.length < 4) return null;
      this.#clientFlags = input.take(4).readUInt32BE();
      const known = HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes;
      return (this.#clientFlags & ~known) === 0 ? 'go-on' : 'close';
    }
    return this.#option(input);
  }

  #option(input: ByteQueue): HandshakeResult | null {
    if (this.#head === null) {
      if (input.length < OPTION_HEAD_BYTES) return null;
      const head = input.take(OPTION_HEAD_BYTES);
      if (head.readBigUInt64BE(0) !== MAGIC.option) return 'close';
      this.#head = { option: head.readUInt32BE(8), length: head.readUInt32BE(12) };
      if (this.#head.length > MAX_OPTION_BYTES) return 'close';
    }
    const { option, length } = this.#head;
    if (input.length < length) return null;
    this.#head = null;
    return this.#answer(option, input.take(length));
  }

  #answer(option: number, data: Buffer): HandshakeResult {
    if (option === OPTION.abort) {
      this.#reply(option, REPLY.ack);
      return 'close';
    }
    if (option === OPTION.startTls) return this.#startTls(data);
    if (this.#wantsTls) {
      if (option === OPTION.exportName) return 'close';
      return this.#refuse(option, REPLY.tlsRequired, 'this server wants TLS');
    }
    if (option === OPTION.exportName) return this.#exportName(data);
    if (option === OPTION.list) return this.#list(data);
    if (option === OPTION.info || option === OPTION.go) return this.#info(option, data);
    return this.#refuse(option, REPLY.unsupported, 'this option is not supported');
  }

  #startTls(data: Buffer): HandshakeResult {
    if (!this.#wantsTls) return this.#refuse(OPTION.startTls, REPLY.policy, 'there is no TLS to start');
    if (data.length > 0) return this.#refuse(OPTION.startTls, REPLY.invalid, 'STARTTLS has no data');
    this.#reply(OPTION.startTls, REPLY.ack);
    this.#wantsTls = false;
    this.#owner.startTls();
    return 'go-on';
  }

  #exportName(data: Buffer): HandshakeResult {
    const disk = this.#owner.exports.find(data.toString());
    if (disk === null) return 'close';
    const isShort = (this.#clientFlags! & HANDSHAKE_FLAG.noZeroes) !== 0;
    const bytes = Buffer.alloc(10 + (isShort ? 0 : PADDING_BYTES));
    bytes.writeBigUInt64BE(BigInt(disk.sizeBytes), 0);
    bytes.writeUInt16BE(FLAGS, 8);
    this.#owner.send(bytes);
    return disk;
  }

  #list(data: Buffer): HandshakeResult {
    if (data.length > 0) return this.#refuse(OPTION.list, REPLY.invalid, 'LIST has no data');
    const names = this.#owner.exports.names();
    if (names === null) return this.#refuse(OPTION.list, REPLY.policy, 'names are not told here');
    for (const name of names) {
      const text = Buffer.from(name);
      const bytes = Buffer.alloc(4 + text.length);
      bytes.writeUInt32BE(text.length, 0);
      bytes.set(text, 4);
      this.#reply(OPTION.list, REPLY.server, bytes);
    }
    this.#reply(OPTION.list, REPLY.ack);
    return 'go-on';
  }

  /** u32 length of the name, the name, u16 count of wishes, u16 each. */
  #info(option: number, data: Buffer): HandshakeResult {
    const nameBytes = data.length < 6 ? Number.POSITIVE_INFINITY : data.readUInt32BE(0);
    const wishesAt = 4 + nameBytes;
    if (wishesAt + 2 > data.length || wishesAt + 2 + 2 * data.readUInt16BE(wishesAt) !== data.length) {
      return this.#refuse(option, REPLY.invalid, 'the lengths in this option contradict each other');
    }
    const name = data.toString('utf8', 4, wishesAt);
    const disk = this.#owner.exports.find(name);
    if (disk === null) return this.#refuse(option, REPLY.unknown, 'there is no such export');
    const size = Buffer.alloc(12);
    size.writeUInt16BE(INFO.export, 0);
    size.writeBigUInt64BE(BigInt(disk.sizeBytes), 2);
    size.writeUInt16BE(FLAGS, 10);
    this.#reply(option, REPLY.info, size);
    const blocks = Buffer.alloc(14);
    blocks.writeUInt16BE(INFO.blockSize, 0);
    blocks.writeUInt32BE(BLOCK_SIZE.minimum, 2);
    blocks.writeUInt32BE(BLOCK_SIZE.preferred, 6);
    blocks.writeUInt32BE(BLOCK_SIZE.maximum, 10);
    this.#reply(option, REPLY.info, blocks);
    this.#reply(option, REPLY.ack);
    return option === OPTION.go ? disk : 'go-on';
  }

  #refuse(option: number, type: number, message: string): HandshakeResult {
    this.#reply(option, type, Buffer.from(message));
    return 'go-on';
  }

  #reply(option: number, type: number, data: Uint8Array = Buffer.alloc(0)): void {
    const bytes = Buffer.alloc(20 + data.length);
    bytes.writeBigUInt64BE(MAGIC.optionReply, 0);
    bytes.writeUInt32BE(option, 8);
    bytes.writeUInt32BE(type, 12);
    bytes.writeUInt32BE(data.length, 16);
    bytes.set(data, 20);
    this.#owner.send(bytes);
  }
}
