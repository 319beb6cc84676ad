import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { errnoName, libc, NativeMemory } from './port/libc.ts';

/** Numbers of the capabilities that matter here (linux/capability.h). */
export const CAPABILITY = {
  dacOverride: 1,
  dacReadSearch: 2,
  setpcap: 8,
  netAdmin: 12,
  netRaw: 13,
  ipcLock: 14,
  sysAdmin: 21,
  bpf: 39,
} as const;

const NAMES: Readonly<Record<number, string>> = {
  [CAPABILITY.dacOverride]: 'CAP_DAC_OVERRIDE',
  [CAPABILITY.dacReadSearch]: 'CAP_DAC_READ_SEARCH',
  [CAPABILITY.netAdmin]: 'CAP_NET_ADMIN',
  [CAPABILITY.netRaw]: 'CAP_NET_RAW',
  [CAPABILITY.ipcLock]: 'CAP_IPC_LOCK',
  [CAPABILITY.bpf]: 'CAP_BPF',
};

const PR = { capBoundingDrop: 24, setNoNewPrivileges: 38, capAmbient: 47 } as const;
const PR_CAP_AMBIENT_LOWER = 3;
const CAPABILITY_VERSION_3 = 0x20080522;
const LAST_CAPABILITY = 63;
const AT_FDCWD = -100;
const AT_EACCESS = 0x200;
const ACCESS = { read: 4, write: 2, search: 1 } as const;
const F_SETFD = 2;
/** Says to the process that comes out of `execve` that it did: its own id, which stays. */
const MARKER = 'HOLDFAST_CONFINED';

/** Capabilities cannot be dropped. */
export class CapabilityError extends Error {
  readonly code = 'capabilities';

  constructor(why: string) {
    super(`capabilities cannot be dropped: ${why} (--keep-capabilities goes on without)`);
    this.name = 'CapabilityError';
  }
}

/** What a thread may do, as bit masks. */
export interface CapabilitySets {
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly inheritable: bigint;
  readonly bounding: bigint;
  readonly ambient: bigint;
  readonly noNewPrivileges: boolean;
}

/** @param status as /proc/PID/status has it */
export function readCapabilities(status: string): CapabilitySets {
  const mask = (name: string) => BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(status)?.[1] ?? '0'}`);
  return {
    permitted: mask('CapPrm'),
    effective: mask('CapEff'),
    inheritable: mask('CapInh'),
    bounding: mask('CapBnd'),
    ambient: mask('CapAmb'),
    noNewPrivileges: /^NoNewPrivs:\s*1$/m.test(status),
  };
}

/** Of the calling process's first thread; as of a thread that may do nothing where the system does not tell. */
export function ownCapabilities(): CapabilitySets {
  return readCapabilities(existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '');
}

export function hasCapability(sets: CapabilitySets, capability: number): boolean {
  return (sets.effective & bit(capability)) !== 0n;
}

export interface Confinement {
  /** Capabilities that every thread still has. */
  readonly kept: readonly string[];
  /** Files and folders for which more are kept than ports need: they belong to somebody else. */
  readonly exceptions: readonly { readonly path: string; readonly capability: string }[];
}

export interface FileNeeds {
  /** Files that are read, also later: configuration, rules. */
  readonly reads: readonly string[];
  /** Folders in which files are made, changed and removed: state, sockets. One that does not exist yet will be made. */
  readonly writes: readonly string[];
  /** There are xdp ports: they load a program, and lock the frames' memory. */
  readonly xdp?: boolean;
}

/**
 * From here on no thread of the process has other capabilities than ports need to be opened again, and none can get them back, nor can
 * programs that it starts.
 *
 * Capabilities belong to threads, and Node.js starts its own before any script runs; these cannot be told to drop theirs. So the
 * process executes its program anew under its old id, as capabilities(7) has it for bounding sets: call this before anything is
 * opened. It returns in the new program, or at once where there is nothing to drop.
 * @throws CapabilityError, PortError where koffi cannot be used
 */
export function confineProcess(needs: FileNeeds): Confinement {
  if (process.platform !== 'linux') return { kept: [], exceptions: [] };
  const before = ownCapabilities();
  const exceptions = neededForFiles(before, needs);
  const keep = exceptions.reduce(
    (mask, { capability }) => mask | bit(capability),
    bit(CAPABILITY.netAdmin) |
      bit(CAPABILITY.netRaw) |
      (needs.xdp ? bit(CAPABILITY.bpf) | bit(CAPABILITY.ipcLock) : 0n),
  );
  const isConfined = process.env[MARKER] === String(process.pid);
  delete process.env[MARKER];
  if (!isConfined && mustDrop(before, keep)) executeAgain(before, keep);
  for (const task of readdirSync('/proc/self/task')) {
    const { permitted } = readCapabilities(readFileSync(`/proc/self/task/${task}/status`, 'utf8'));
    if ((permitted & ~keep) !== 0n) throw new CapabilityError(`thread ${task} still has ${permitted.toString(16)}`);
  }
  return {
    kept: namesOf(before.permitted & keep),
    exceptions: exceptions.map(({ path, capability }) => ({ path, capability: NAMES[capability]! })),
  };
}

function mustDrop(sets: CapabilitySets, keep: bigint): boolean {
  const { permitted, inheritable, ambient, bounding, noNewPrivileges } = sets;
  const held = permitted | inheritable | ambient | (hasCapability(sets, CAPABILITY.setpcap) ? bounding : 0n);
  return (held & ~keep) !== 0n || !noNewPrivileges;
}

/** Does not return. @throws CapabilityError */
function executeAgain(sets: CapabilitySets, keep: bigint): never {
  const c = libc().koffi.load(null);
  const prctl = c.func('int prctl(int, unsigned long, unsigned long, unsigned long, unsigned long)');
  const execve = c.func('int execve(const char *, const char **, const char **)');
  const fcntl = c.func('int fcntl(int, int, int)');
  const failed = (what: string) => new CapabilityError(`${what}: ${errnoName(libc().errno())}`);
  if (prctl(PR.setNoNewPrivileges, 1, 0, 0, 0) !== 0) throw failed('no_new_privs');
  for (let capability = 0; capability <= LAST_CAPABILITY; capability++) {
    if ((keep & bit(capability)) !== 0n) continue;
    if ((sets.ambient & bit(capability)) !== 0n) prctl(PR.capAmbient, PR_CAP_AMBIENT_LOWER, capability, 0, 0);
    // Without CAP_SETPCAP this is refused, and no_new_privs alone sees to it that nothing is gained.
    if ((sets.bounding & bit(capability)) !== 0n) prctl(PR.capBoundingDrop, capability, 0, 0, 0);
  }
  setCapabilities(sets.permitted & keep, sets.permitted & keep, sets.inheritable & keep);
  // Node.js has its descriptors closed by execve; these three are the new program's.
  for (const fd of [0, 1, 2]) fcntl(fd, F_SETFD, 0);
  const program = [process.argv0, ...process.execArgv, ...process.argv.slice(1), null];
  const environment = Object.entries({ ...process.env, [MARKER]: String(process.pid) });
  execve(process.execPath, program, [...environment.map(([name, value]) => `${name}=${value}`), null]);
  throw failed(process.execPath);
}

/** @returns files and folders for which ports' capabilities are not enough, and all that there are now are */
function neededForFiles(sets: CapabilitySets, { reads, writes }: FileNeeds): { path: string; capability: number }[] {
  // The program itself is read again, and what it loads later lies beside it.
  const own = [process.execPath, process.argv[1] ?? process.execPath];
  const wanted = [
    ...[...own, ...reads].map((path) => ({ path, mode: ACCESS.read, capability: CAPABILITY.dacReadSearch })),
    ...writes.map((path) => ({
      path: nearestThere(path),
      mode: ACCESS.write | ACCESS.search,
      capability: CAPABILITY.dacOverride,
    })),
  ].filter(({ capability }) => hasCapability(sets, capability));
  if (wanted.length === 0) return [];
  const faccessat = libc().koffi.load(null).func('int faccessat(int, const char *, int, int)');
  const mayAccess = ({ path, mode }: { path: string; mode: number }) =>
    faccessat(AT_FDCWD, path, mode, AT_EACCESS) === 0;
  const possible = wanted.filter(mayAccess);
  const files = bit(CAPABILITY.dacOverride) | bit(CAPABILITY.dacReadSearch);
  setCapabilities(sets.permitted, sets.effective & ~files, sets.inheritable);
  try {
    return possible.filter((one) => !mayAccess(one));
  } finally {
    setCapabilities(sets.permitted, sets.effective, sets.inheritable);
  }
}

/** @returns the path itself, or the folder closest to it that exists */
function nearestThere(path: string): string {
  let at = resolve(path);
  while (!existsSync(at)) at = dirname(at);
  return at;
}

/** Of the calling thread, which is the first. @throws CapabilityError */
function setCapabilities(permitted: bigint, effective: bigint, inheritable: bigint): void {
  const capset = libc().koffi.load(null).func('int capset(uintptr_t, uintptr_t)');
  const memory = new NativeMemory(8 + 24);
  memory.view.setUint32(0, CAPABILITY_VERSION_3, true);
  // Two struct __user_cap_data_struct: the low halves of the masks, then the high ones.
  [effective, permitted, inheritable].forEach((mask, i) => {
    memory.view.setUint32(8 + 4 * i, Number(mask & 0xffffffffn), true);
    memory.view.setUint32(20 + 4 * i, Number(mask >> 32n), true);
  });
  if (capset(memory.address, memory.address + 8) !== 0) {
    throw new CapabilityError(`capset: ${errnoName(libc().errno())}`);
  }
}

function namesOf(mask: bigint): string[] {
  return Object.entries(NAMES).flatMap(([capability, name]) => ((mask & bit(Number(capability))) !== 0n ? [name] : []));
}

function bit(capability: number): bigint {
  return 1n << BigInt(capability);
}
