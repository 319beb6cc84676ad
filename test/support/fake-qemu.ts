import { createServer, type Server, type Socket } from 'node:net';

type Answer = { readonly return: unknown } | { readonly error: { readonly class: string; readonly desc: string } };

/** Speaks QMP as QEMU does, and does what a test says. */
export class FakeQemu {
  /** Commands that came, in order. */
  readonly commands: string[] = [];
  /** By command; without one `{}` is answered. Undefined: no answer at all. */
  readonly answers = new Map<string, (parameters: unknown) => Answer | undefined>();
  greeting = { QMP: { version: { qemu: { major: 7, minor: 2, micro: 22 }, package: '' }, capabilities: [] } };
  readonly #server: Server;
  #socket: Socket | null = null;

  constructor(path: string) {
    this.#server = createServer((socket) => this.#accept(socket)).listen(path);
  }

  say(line: object): void {
    this.#socket?.write(`${JSON.stringify(line)}\r\n`);
  }

  happen(event: string, data: object = {}): void {
    this.say({ timestamp: { seconds: 1, microseconds: 2 }, event, data });
  }

  /** As a machine that is killed. */
  die(): void {
    this.#socket?.destroy();
    this.#server.close();
  }

  #accept(socket: Socket): void {
    this.#socket = socket;
    this.say(this.greeting);
    socket.setEncoding('utf8').on('data', (text: string) => {
      for (const line of text.split('\n')) {
        if (line === '') continue;
        const { execute, arguments: parameters, id } = JSON.parse(line);
        this.commands.push(execute);
        const make = this.answers.get(execute);
        const answer = make === undefined ? { return: {} } : make(parameters);
        if (answer !== undefined) this.say({ ...answer, id });
      }
    });
    socket.on('error', () => {});
  }
}
