import { ERRNO, libc, NativeMemory } from './port/libc.ts';
import { PortError } from './port/port-error.ts';

const MSG = { dontWait: 0x40, noSignal: 0x4000 } as const;
/** The longest piece that is sent at once. */
const PIECE_BYTES = 16 * 1024;

/**
 * Standard error may be a socket, the journal's for example. It is shared with other processes: whether it blocks is not ours to
 * change, and starting a child process would undo it. So each call says that it does not wait.
 * @returns sends to the socket and returns how many bytes it took, from 0 on; throws an error with the code EAGAIN if that is none now,
 * with another one if the reader is gone. Null where there is no way to do so.
 */
export function sendWithoutWaiting(fd: number): ((bytes: Buffer) => number) | null {
  try {
    const c = libc();
    const memory = new NativeMemory(PIECE_BYTES);
    return (bytes) => {
      const length = Math.min(bytes.length, PIECE_BYTES);
      memory.bytes.set(bytes.subarray(0, length));
      const sent = c.send(fd, memory.address, length, MSG.dontWait | MSG.noSignal);
      if (sent >= 0) return sent;
      throw Object.assign(new Error('send'), { code: c.errno() === ERRNO.EAGAIN ? 'EAGAIN' : 'EPIPE' });
    };
  } catch (error) {
    if (error instanceof PortError) return null;
    throw error;
  }
}
