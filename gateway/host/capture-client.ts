import type { Socket } from 'node:net';
import type { ParamsOf, Results } from './api.ts';
import { HostClientError } from './client.ts';
import { addressText, connectTo, type GatewayAddress } from './connect.ts';
import { encodeCall, MAX_LINE_BYTES, parseLine, RequestError } from './protocol.ts';

const LINE_END = 0x0a;

export interface OpenCapture {
  readonly answer: Results['capture.start'];
  /** Gives pcapng and nothing else; paused. Whoever does not read loses frames, not the connection. */
  readonly socket: Socket;
  /** Asks for the last of it: what is on its way and the statistics follow. */
  end(): void;
}

/**
 * Starts a capture, on a connection of its own.
 * @param to where the gateway is, or the path of its socket
 * @throws RequestError when the gateway refuses; HostClientError without an answer
 */
export async function openCapture(
  to: string | GatewayAddress,
  params: ParamsOf<'capture.start'>,
  timeoutMs = 10_000,
): Promise<OpenCapture> {
  const address = typeof to === 'string' ? { path: to } : to;
  let onConnect = () => {};
  const connected = new Promise<void>((resolve) => {
    onConnect = resolve;
  });
  // Our side is ended first, and there is more to read.
  const socket = connectTo(address, true, () => onConnect());
  const timer = setTimeout(() => {
    socket.destroy(new HostClientError('timeout', `no answer to capture.start within ${timeoutMs} ms`));
  }, timeoutMs);
  try {
    await reached(socket, connected, address);
    socket.write(encodeCall('capture.start', params, 1));
    const parsed = parseLine(await firstLine(socket));
    if (parsed instanceof RequestError) throw parsed;
    const { result, error } = parsed.value as { result?: Results['capture.start']; error?: WireError };
    if (error !== undefined || result === undefined) throw refusal(error);
    // One side of TLS cannot be ended by itself.
    const end = () => void (address.tls === undefined ? socket.end() : socket.write('\n'));
    return { answer: result, socket, end };
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function reached(socket: Socket, connected: Promise<void>, address: GatewayAddress): Promise<void> {
  const failed = new Promise<never>((_, reject) => socket.on('error', reject));
  try {
    await Promise.race([connected, failed]);
    // From now on an error shows as the end of what can be read.
    failed.catch(() => {});
  } catch (cause) {
    if (cause instanceof HostClientError) throw cause;
    throw new HostClientError('unreachable', `there is no gateway at ${addressText(address)}`, { cause });
  }
}

/** Takes one line, without its end; what follows it is for the next reader. */
async function firstLine(socket: Socket): Promise<Buffer> {
  let line = Buffer.alloc(0);
  for (;;) {
    await readable(socket);
    for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read()) {
      const end = chunk.indexOf(LINE_END);
      line = Buffer.concat([line, end < 0 ? chunk : chunk.subarray(0, end)]);
      if (end >= 0) {
        if (end + 1 < chunk.length) socket.unshift(chunk.subarray(end + 1));
        return line;
      }
      if (line.length > MAX_LINE_BYTES) break;
    }
    if (socket.readableEnded || line.length > MAX_LINE_BYTES) {
      throw new HostClientError('answer-lost', 'the gateway hung up before its answer to capture.start');
    }
  }
}

function readable(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error) => {
      socket.off('readable', done).off('end', done).off('error', settle);
      if (error === undefined) resolve();
      else reject(error);
    };
    const done = () => settle();
    socket.on('readable', done).on('end', done).on('error', settle);
  });
}

interface WireError {
  readonly code: number;
  readonly message: string;
  readonly data?: { readonly code: string; readonly field?: string };
}

function refusal(error: WireError | undefined): RequestError {
  const { code = 0, message = 'the answer makes no sense', data } = error ?? {};
  return new RequestError(code, data?.code ?? 'unknown', message, data?.field);
}
