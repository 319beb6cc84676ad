import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { ByteQueue } from '../../../gateway/disk/byte-queue.ts';
import { COMMAND, COMMAND_FLAG, HANDSHAKE_FLAG, MAGIC, OPTION, REPLY } from '../../../gateway/disk/nbd-protocol.ts';

export interface OptionReply {
  readonly option: number;
  readonly type: number;
  readonly data: Buffer;
}

/** A client that sends exactly what it is told. */
export class RawClient {
  socket: Socket;
  readonly #closed: Promise<void>;
  #isOver: () => void = () => {};
  readonly #received = new ByteQueue();
  #wake: () => void = () => {};
  #isClosed = false;

  constructor(where: NetConnectOpts) {
    this.#closed = new Promise((resolve) => {
      this.#isOver = resolve;
    });
    this.socket = this.#heard(connect(where));
  }

  #heard(socket: Socket): Socket {
    socket.on('data', (chunk) => {
      this.#received.push(chunk);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
      this.#isOver();
    });
    return socket;
  }

  /** What follows is TLS. Whether the server likes our certificate shows when it is asked something. */
  async startTls(options: ConnectionOptions): Promise<void> {
    this.sendOption(OPTION.startTls);
    const [{ type }] = (await this.replies()) as [OptionReply];
    if (type !== REPLY.ack) throw new Error(`no TLS: ${type}`);
    this.socket.removeAllListeners('data');
    this.socket = this.#heard(connectTls({ ...options, socket: this.socket }));
  }

  /** Resolves when the server has hung up. */
  get closed(): Promise<void> {
    return this.#closed;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  /** @throws where the server hangs up before it has sent as much */
  async take(count: number): Promise<Buffer> {
    while (this.#received.length < count) {
      if (this.#isClosed) throw new Error('the server hung up');
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    return this.#received.take(count);
  }

  /** The greeting, and flags in return. @returns the server's flags */
  async greet(flags: number = HANDSHAKE_FLAG.fixedNewstyle | HANDSHAKE_FLAG.noZeroes): Promise<number> {
    const greeting = await this.take(18);
    if (greeting.readBigUInt64BE(0) !== MAGIC.init || greeting.readBigUInt64BE(8) !== MAGIC.option) {
      throw new Error('no NBD server');
    }
    const answer = Buffer.alloc(4);
    answer.writeUInt32BE(flags);
    this.send(answer);
    return greeting.readUInt16BE(16);
  }

  sendOption(option: number, data: Uint8Array = Buffer.alloc(0), length = data.length): void {
    const head = Buffer.alloc(16);
    head.writeBigUInt64BE(MAGIC.option, 0);
    head.writeUInt32BE(option, 8);
    head.writeUInt32BE(length, 12);
    this.send(Buffer.concat([head, data]));
  }

  /** @returns replies up to the one that is not about a part */
  async replies(): Promise<OptionReply[]> {
    const seen: OptionReply[] = [];
    for (;;) {
      const head = await this.take(20);
      if (head.readBigUInt64BE(0) !== MAGIC.optionReply) throw new Error('no reply to an option');
      const type = head.readUInt32BE(12);
      seen.push({ option: head.readUInt32BE(8), type, data: Buffer.from(await this.take(head.readUInt32BE(16))) });
      if (type !== REPLY.info && type !== REPLY.server) return seen;
    }
  }

  async go(name: string, option: number = OPTION.go): Promise<OptionReply[]> {
    this.sendOption(option, infoData(name));
    return this.replies();
  }

  sendRequest(
    command: number,
    from: number | bigint,
    length: number,
    flags = 0,
    payload: Uint8Array = Buffer.alloc(0),
  ): void {
    const head = Buffer.alloc(28);
    head.writeUInt32BE(MAGIC.request, 0);
    head.writeUInt16BE(flags, 4);
    head.writeUInt16BE(command, 6);
    head.writeBigUInt64BE(0x0123456789abcdefn, 8);
    head.writeBigUInt64BE(BigInt(from), 16);
    head.writeUInt32BE(length, 24);
    this.send(Buffer.concat([head, payload]));
  }

  /** @returns its error number */
  async reply(): Promise<number> {
    const head = await this.take(16);
    if (head.readUInt32BE(0) !== MAGIC.simpleReply || head.readBigUInt64BE(8) !== 0x0123456789abcdefn) {
      throw new Error('no reply to this request');
    }
    return head.readUInt32BE(4);
  }

  async read(from: number, length: number): Promise<Buffer> {
    this.sendRequest(COMMAND.read, from, length);
    const error = await this.reply();
    if (error !== 0) throw new Error(`error ${error}`);
    return Buffer.from(await this.take(length));
  }

  async write(from: number, payload: Uint8Array, fua = false): Promise<number> {
    this.sendRequest(COMMAND.write, from, payload.length, fua ? COMMAND_FLAG.fua : 0, payload);
    return this.reply();
  }
}

export function infoData(name: string, ...wishes: number[]): Buffer {
  const text = Buffer.from(name);
  const data = Buffer.alloc(6 + text.length + 2 * wishes.length);
  data.writeUInt32BE(text.length, 0);
  data.set(text, 4);
  data.writeUInt16BE(wishes.length, 4 + text.length);
  for (const [index, wish] of wishes.entries()) data.writeUInt16BE(wish, 6 + text.length + 2 * index);
  return data;
}

/** A client that has chosen an export. */
export async function attached(where: NetConnectOpts, name = 'disk'): Promise<RawClient> {
  const client = new RawClient(where);
  await client.greet();
  const last = (await client.go(name)).at(-1)!;
  if (last.type !== REPLY.ack) throw new Error(`refused: ${last.data}`);
  return client;
}
