import { isMainThread } from 'node:worker_threads';
import { errnoName, libc } from './libc.ts';
import { PortError } from './port-error.ts';

/** A way to have the event loop watch file descriptors. */
export interface Polls {
  /**
   * Calls `told` whenever the descriptor is readable, with 0, or has an error, with a negative number; after that it is
   * over, and only `close` is left to do. `told` does not throw: nobody would hear it. The watch is closed before the descriptor.
   * @throws PortError, Error
   */
  watch(fd: number, told: (status: number) => void): { close(): void };
}

/** koffi's type says that the listener gets the events alone; it gets libuv's status before them. */
type KoffiListener = (status: number) => void;

/** A handle that is collected is closed, and the process ends as if nothing were left to do: these are not collected. */
const alive = new Set<object>();

/** koffi's own: it is always there, and makes an object with a name for each kind of event every time. */
export const koffiPolls: Polls = {
  watch(fd, told) {
    const poll = libc().koffi.node.poll(fd, { readable: true }, told as KoffiListener as never);
    alive.add(poll);
    const close = () => {
      alive.delete(poll);
      poll.close();
    };
    return { close };
  },
};

const UV_READABLE = 1;
/** What uv.h calls the handles of uv_poll_init: how it is numbered is libuv's to change, so it is looked for by name. */
const POLL_NAME = 'poll';
const HANDLE_TYPES = 32;

/**
 * The functions of libuv, which the program node exports for add-ons: a wake-up costs half of what koffi's own costs.
 * @returns null where they are missing, and in a worker: its loop must be empty when it is terminated, which asks nobody
 */
export function uvPolls(): Polls | null {
  found ??= { polls: isMainThread ? find() : null };
  return found.polls;
}

let found: { readonly polls: Polls | null } | null = null;

function find(): Polls | null {
  const { koffi } = libc();
  try {
    return new UvPolls(koffi.load(null));
  } catch {
    return null;
  }
}

class UvPolls implements Polls {
  readonly #init: (loop: number, handle: number, fd: number) => number;
  readonly #start: (handle: number, events: number, callback: bigint) => number;
  readonly #close: (handle: number, callback: bigint) => void;
  readonly #allocate: (count: number, bytes: number) => number;
  readonly #free: (handle: number) => void;
  readonly #loop: number;
  readonly #handleBytes: number;
  readonly #told: bigint;
  readonly #closed: bigint;
  /** By the address of the handle, which is libuv's until it says that it has closed it. */
  readonly #listeners = new Map<number, (status: number) => void>();

  /** @throws Error where something is missing */
  constructor(program: ReturnType<ReturnType<typeof libc>['koffi']['load']>) {
    const { koffi } = libc();
    this.#init = program.func('int uv_poll_init(uintptr_t, uintptr_t, int)');
    this.#start = program.func('int uv_poll_start(uintptr_t, int, uintptr_t)');
    this.#close = program.func('void uv_close(uintptr_t, uintptr_t)');
    this.#allocate = program.func('uintptr_t calloc(size_t, size_t)');
    this.#free = program.func('void free(uintptr_t)');
    const loopOf = program.func('int napi_get_uv_event_loop(void *, _Out_ uintptr_t *)');
    const bytesOf = program.func('size_t uv_handle_size(int)');
    const nameOf = program.func('const char *uv_handle_type_name(int)');
    let type = 0;
    while (type < HANDLE_TYPES && nameOf(type) !== POLL_NAME) type++;
    if (type === HANDLE_TYPES) throw new Error('libuv has no poll handles');
    this.#handleBytes = Number(bytesOf(type));
    const loop = [0];
    if (loopOf(koffi.node.env, loop) !== 0) throw new Error('this thread has no event loop');
    this.#loop = Number(loop[0]);
    const told = koffi.proto('void (intptr_t handle, int status, int events)');
    this.#told = koffi.register((handle: number, status: number) => {
      this.#listeners.get(handle)?.(status);
    }, koffi.pointer(told));
    const closed = koffi.proto('void (intptr_t handle)');
    this.#closed = koffi.register((handle: number) => {
      this.#free(handle);
    }, koffi.pointer(closed));
  }

  watch(fd: number, told: (status: number) => void): { close(): void } {
    const handle = this.#allocate(1, this.#handleBytes);
    if (handle === 0) throw new PortError('system', 'no memory');
    const refused = this.#init(this.#loop, handle, fd);
    if (refused < 0) {
      this.#free(handle);
      throw new PortError('system', `cannot watch a file descriptor: ${errnoName(-refused)}`);
    }
    this.#listeners.set(handle, told);
    const close = () => {
      if (this.#listeners.delete(handle)) this.#close(handle, this.#closed);
    };
    const failed = this.#start(handle, UV_READABLE, this.#told);
    if (failed < 0) {
      close();
      throw new PortError('system', `cannot watch a file descriptor: ${errnoName(-failed)}`);
    }
    return { close };
  }
}
