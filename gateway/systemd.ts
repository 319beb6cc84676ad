import { libc, NativeMemory } from './port/libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM_NONBLOCK_CLOEXEC = 2 | 0o4000 | 0o2000000;
const MSG_DONTWAIT_NOSIGNAL = 0x40 | 0x4000;
/** struct sockaddr_un: the family, then this many bytes of path. */
const PATH_AT = 2;
const PATH_BYTES = 108;
const EAGAIN = 11;
/** A message that the receiver has no room for now is offered again after this. */
const RETRY_MS = 50;
const MAX_RETRIES = 100;
const US_PER_MS = 1000;
/** What is longer is cut. */
const MESSAGE_BYTES = 4096;

/**
 * Tells systemd, or whoever else started this process and reads $NOTIFY_SOCKET, how it is (sd_notify(3)). Messages never block and
 * never fail: who does not listen is not told.
 */
export class SystemdNotifier {
  readonly #fd: number;
  readonly #address: NativeMemory;
  readonly #addressBytes: number;
  readonly #message = new NativeMemory(MESSAGE_BYTES);
  readonly #sendto: (fd: number, data: number, length: number, flags: number, to: number, toLength: number) => number;
  readonly #watchdogMs: number | null;
  #watchdog: NodeJS.Timeout | null = null;
  readonly #waiting: Set<NodeJS.Timeout> = new Set();
  #closed = false;

  /**
   * @param env is read, and the variables are taken away: programs that this process starts do not speak for it
   * @returns null where nobody asked to be told
   * @throws PortError where koffi cannot be used
   */
  static fromEnvironment(env: NodeJS.ProcessEnv): SystemdNotifier | null {
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID } = env;
    for (const name of ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID']) delete env[name];
    // Other kinds of addresses (vsock:) are for whole machines.
    if (NOTIFY_SOCKET === undefined || !/^[/@]./.test(NOTIFY_SOCKET)) return null;
    if (Buffer.byteLength(NOTIFY_SOCKET) >= PATH_BYTES) return null;
    const isForUs = WATCHDOG_PID === undefined || WATCHDOG_PID === String(process.pid);
    const watchdogUs = /^[1-9]\d{0,14}$/.test(WATCHDOG_USEC ?? '') && isForUs ? Number(WATCHDOG_USEC) : null;
    return new SystemdNotifier(NOTIFY_SOCKET, watchdogUs);
  }

  /**
   * @param path of a datagram socket; with '@' in front: an abstract name
   * @param watchdogUs who hears nothing for so long takes the process for hung
   */
  private constructor(path: string, watchdogUs: number | null) {
    const c = libc();
    this.#sendto = c.koffi.load(null).func('long sendto(int, uintptr_t, size_t, int, uintptr_t, unsigned int)');
    this.#address = new NativeMemory(PATH_AT + PATH_BYTES);
    this.#address.view.setUint16(0, AF_UNIX, true);
    const length = new TextEncoder().encodeInto(path, this.#address.bytes.subarray(PATH_AT)).written;
    // An abstract name begins with a zero, and its end is where the address ends (unix(7)).
    if (path.startsWith('@')) this.#address.bytes[PATH_AT] = 0;
    this.#addressBytes = PATH_AT + length + (path.startsWith('@') ? 0 : 1);
    this.#watchdogMs = watchdogUs === null ? null : watchdogUs / 2 / US_PER_MS;
    this.#fd = c.socket(AF_UNIX, SOCK_DGRAM_NONBLOCK_CLOEXEC, 0);
  }

  /** Frames flow. From now on the watchdog is fed, by a timer: an event loop that does not turn does not feed it. */
  ready(status: string): void {
    this.#send(`READY=1\nSTATUS=${oneLine(status)}`, MAX_RETRIES);
    if (this.#watchdogMs === null || this.#watchdog !== null) return;
    this.#send('WATCHDOG=1', 0);
    this.#watchdog = setInterval(() => this.#send('WATCHDOG=1', 0), this.#watchdogMs);
    this.#watchdog.unref();
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    this.#send(`STATUS=${oneLine(text)}`, 0);
  }

  stopping(): void {
    this.#send('STOPPING=1', 1);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    for (const timer of this.#waiting) clearTimeout(timer);
    if (this.#fd >= 0) libc().close(this.#fd);
  }

  #send(text: string, retries: number): void {
    if (this.#closed || this.#fd < 0) return;
    const { written } = new TextEncoder().encodeInto(text, this.#message.bytes);
    const sent = this.#sendto(
      this.#fd,
      this.#message.address,
      written,
      MSG_DONTWAIT_NOSIGNAL,
      this.#address.address,
      this.#addressBytes,
    );
    if (sent >= 0 || retries === 0 || libc().errno() !== EAGAIN) return;
    const timer = setTimeout(() => {
      this.#waiting.delete(timer);
      this.#send(text, retries - 1);
    }, RETRY_MS);
    timer.unref();
    this.#waiting.add(timer);
  }
}

/** A line feed would begin another message. */
function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}
