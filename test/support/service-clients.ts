import { createSocket, type Socket } from 'node:dgram';
import { Agent, get } from 'node:http';
import { createConnection, type NetConnectOpts } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AnswerHistory } from './answer-history.ts';
import { VM_GUEST } from './guest.ts';
import { leaveNetns, type Netns, type Program } from './netns.ts';

/** From an answer to the next request. */
const PAUSE_MS = 5;
/** A datagram without an answer for so long is given up; its answer counts when it comes all the same. */
const GIVEN_UP_MS = 500;

export type Family = 'ip4' | 'ip6';

/** Somebody who asks the guest again and again, until told to stop. */
export interface ServiceClient {
  readonly name: string;
  /** When answers came, ms of performance.now(). */
  times(): number[];
  /** What must not be, in words. */
  readonly problems: readonly string[];
  stop(): Promise<void>;
}

/** HTTP requests, one after the other, over one connection that is kept alive. */
export class HttpClient implements ServiceClient {
  readonly name: string;
  readonly problems: string[] = [];
  readonly #history: AnswerHistory;
  readonly #agent: Agent;
  readonly #host: string;
  readonly #work: Promise<void>;
  #connections = 0;
  #isOver = false;

  constructor(network: Netns, family: Family, history: AnswerHistory) {
    this.name = `HTTP over ${family}`;
    this.#history = history;
    this.#host = VM_GUEST[family];
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1 });
    this.#agent.createConnection = (options: NetConnectOpts) => {
      if (++this.#connections > 1) this.problems.push('its connection did not survive');
      network.enter();
      // Node makes it in the next tick.
      setImmediate(leaveNetns);
      return createConnection(options);
    };
    this.#work = this.#run();
  }

  times(): number[] {
    return this.#history.times(this.name);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#work;
    this.#agent.destroy();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const askedAt = performance.now();
      const number = await this.#ask();
      if (number === null) return;
      this.#history.add(this.name, askedAt, performance.now(), number);
      await sleep(PAUSE_MS);
    }
  }

  #ask(): Promise<number | null> {
    return new Promise((resolve) => {
      const request = get({ host: this.#host, port: VM_GUEST.http, agent: this.#agent }, (response) => {
        let body = '';
        response.on('data', (text) => (body += text));
        response.on('end', () => resolve(Number(body)));
      });
      request.on('error', (error) => {
        this.problems.push(error.message);
        resolve(null);
      });
    });
  }
}

/** Requests in datagrams, one after the other. */
export class UdpClient implements ServiceClient {
  readonly name: string;
  readonly problems: string[] = [];
  readonly #history: AnswerHistory;
  readonly #socket: Socket;
  readonly #host: string;
  readonly #work: Promise<void>;
  /** By request. */
  readonly #askedAt: number[] = [];
  readonly #answers = new Map<number, string>();
  #onAnswer: () => void = () => {};
  #isOver = false;

  private constructor(socket: Socket, family: Family, history: AnswerHistory) {
    this.name = `UDP over ${family}`;
    this.#socket = socket;
    this.#history = history;
    this.#host = VM_GUEST[family];
    socket.on('message', (bytes) => this.#take(bytes.toString()));
    this.#work = this.#run();
  }

  static async open(network: Netns, family: Family, history: AnswerHistory): Promise<UdpClient> {
    const socket = createSocket(family === 'ip4' ? 'udp4' : 'udp6');
    const listening = new Promise((resolve) => socket.once('listening', resolve));
    network.enter();
    socket.bind(0);
    await listening;
    leaveNetns();
    return new UdpClient(socket, family, history);
  }

  times(): number[] {
    return this.#history.times(this.name);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#work;
    this.#socket.close();
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      const request = this.#askedAt.push(performance.now()) - 1;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, GIVEN_UP_MS);
        this.#onAnswer = () => {
          clearTimeout(timer);
          resolve();
        };
        this.#socket.send(String(request), VM_GUEST.datagrams, this.#host);
      });
      await sleep(PAUSE_MS);
    }
  }

  #take(text: string): void {
    const [number, request] = text.split(' ').map(Number);
    const askedAt = this.#askedAt[request!];
    const before = this.#answers.get(request!);
    if (askedAt === undefined) {
      this.problems.push(`nobody had asked what '${text}' answers`);
    } else if (before !== undefined) {
      this.problems.push(`one request was answered twice: '${before}', '${text}'`);
    } else {
      this.#answers.set(request!, text);
      this.#history.add(this.name, askedAt, performance.now(), number!);
      if (request === this.#askedAt.length - 1) this.#onAnswer();
    }
  }
}

/** ping, twenty times a second. */
export class PingClient implements ServiceClient {
  readonly name: string;
  readonly #ping: Program;
  readonly #isExact: boolean;

  /** @param isExact echoes are held; where they pass, the standby may answer once more what its machine has answered already */
  constructor(network: Netns, family: Family, isExact: boolean) {
    this.name = `ping over ${family}`;
    this.#isExact = isExact;
    this.#ping = network.start('ping', '-n', '-i', '0.05', '-D', VM_GUEST[family]);
  }

  get problems(): string[] {
    return this.#ping.output.split('\n').filter((line) => this.#isExact && line.includes('DUP!'));
  }

  times(): number[] {
    const answers = [...this.#ping.output.matchAll(/\[(\d+\.\d+)\].*time=/g)];
    return answers.map(([, at]) => Number(at) * 1000 - performance.timeOrigin);
  }

  async stop(): Promise<void> {
    await this.#ping.stop();
  }
}
