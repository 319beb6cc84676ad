import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type * as Koffi from 'koffi';

/** asm-generic/socket.h */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid, gid, 32 bits each (unix(7)). */
const UCRED_BYTES = 12;

type GetSockOpt = (fd: number, level: number, name: number, value: Uint8Array, length: number[]) => number;
let getSockOpt: GetSockOpt | null | undefined;

/**
 * Who connected. Node itself does not tell (it has no SO_PEERCRED), so the kernel is asked through koffi, with the socket's descriptor.
 * @returns the user id that the peer had when it connected; null where it cannot be told: not Linux, no koffi, no descriptor. The
 * socket's mode 0600, which the kernel checks at `connect`, is then all the protection there is
 */
export function peerUid(socket: Socket): number | null {
  const { fd } = (socket as unknown as { readonly _handle: { readonly fd?: number } | null })._handle ?? {};
  if (fd === undefined || fd < 0) return null;
  getSockOpt ??= load();
  if (getSockOpt === null) return null;
  const credentials = new Uint8Array(UCRED_BYTES);
  if (getSockOpt(fd, SOL_SOCKET, SO_PEERCRED, credentials, [UCRED_BYTES]) !== 0) return null;
  return new Uint32Array(credentials.buffer)[1]!;
}

function load(): GetSockOpt | null {
  if (process.platform !== 'linux') return null;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    return koffi
      .load(null)
      .func('int getsockopt(int fd, int level, int name, _Out_ void *value, _Inout_ uint32_t *length)') as GetSockOpt;
  } catch {
    return null;
  }
}
