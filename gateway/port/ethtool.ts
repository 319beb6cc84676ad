import { libc, NativeMemory } from './libc.ts';

const AF_INET = 2;
const SOCK_DGRAM_CLOEXEC = 2 | 0o2000000;
const SIOCETHTOOL = 0x8946;
/** struct ifreq: the name, then a pointer to the command. */
const NAME_BYTES = 16;
const COMMAND_AT = 64;
/** linux/ethtool.h */
const GET_DRIVER = 0x03;
const GET_FLAGS = 0x25;
const SET_FLAGS = 0x26;
const GET_CHANNELS = 0x3c;
/** In struct ethtool_channels: how many are in use. */
const CHANNELS = { receive: 20, combined: 32 } as const;
/** In struct ethtool_drvinfo. */
const DRIVER = { at: 4, bytes: 32 } as const;

/**
 * Work that a device, or the kernel on its behalf, does on frames. `get`: the command that asks, the one that sets is the next
 * number; else a bit of the flags.
 */
const OFFLOADS = {
  rx: { get: 0x14 },
  tx: { get: 0x16 },
  sg: { get: 0x18 },
  tso: { get: 0x1e },
  gso: { get: 0x23 },
  gro: { get: 0x2b },
  lro: { flag: 1 << 15 },
  rxvlan: { flag: 1 << 8 },
  txvlan: { flag: 1 << 7 },
} as const;

/** By the names that `ethtool -K` knows them by. */
export type Offload = keyof typeof OFFLOADS;

export interface EthtoolInfo {
  /** Null where the device does not say. */
  readonly driver: string | null;
  /** Which are on; null: not known of this device. One after the other, because devices answer some questions only. */
  readonly offloads: Readonly<Record<Offload, boolean | null>>;
}

/** @returns what a network device of this process's namespace says of itself; reading needs no rights */
export function readEthtool(name: string): EthtoolInfo {
  return withEthtool(name, (ask) => {
    const number = (command: number) => ask(command)?.getUint32(COMMAND_AT + 4, true) ?? null;
    const flags = number(GET_FLAGS);
    const offloads = Object.entries(OFFLOADS).map(([offload, how]) => {
      const value = 'get' in how ? number(how.get) : flags === null ? null : flags & how.flag;
      return [offload, value === null ? null : value !== 0];
    });
    const info = ask(GET_DRIVER);
    const driver = info === null ? null : zeroEndedText(info, COMMAND_AT + DRIVER.at, DRIVER.bytes);
    return { driver, offloads: Object.fromEntries(offloads) };
  });
}

/** @returns how many receive queues the device uses; 1 where it does not say */
export function receiveQueues(name: string): number {
  return withEthtool(name, (ask) => {
    const channels = ask(GET_CHANNELS);
    if (channels === null) return 1;
    const count = (at: number) => channels.getUint32(COMMAND_AT + at, true);
    return Math.max(1, count(CHANNELS.receive) + count(CHANNELS.combined));
  });
}

/**
 * Switches off those that are on and can be switched, one after the other.
 * @returns what switches them on again
 */
export function switchOff(name: string, offloads: readonly Offload[]): () => void {
  const { offloads: before } = readEthtool(name);
  const changed = offloads.filter((offload) => before[offload] === true && set(name, offload, false));
  return () => {
    for (const offload of changed) set(name, offload, true);
  };
}

/** @returns whether the device was told */
function set(name: string, offload: Offload, on: boolean): boolean {
  const how = OFFLOADS[offload];
  return withEthtool(name, (ask) => {
    if ('get' in how) return ask(how.get + 1, on ? 1 : 0) !== null;
    const flags = ask(GET_FLAGS)?.getUint32(COMMAND_AT + 4, true);
    if (flags === undefined) return false;
    return ask(SET_FLAGS, on ? flags | how.flag : flags & ~how.flag) !== null;
  });
}

/** @returns the answer behind `COMMAND_AT`, null: the device does not know the command */
type Ask = (command: number, value?: number) => DataView | null;

function withEthtool<T>(name: string, use: (ask: Ask) => T): T {
  const c = libc();
  const fd = c.socket(AF_INET, SOCK_DGRAM_CLOEXEC, 0);
  try {
    const memory = new NativeMemory(COMMAND_AT + 256);
    return use((command, value = 0) => {
      memory.bytes.fill(0);
      new TextEncoder().encodeInto(name, memory.bytes.subarray(0, NAME_BYTES - 1));
      memory.view.setBigUint64(NAME_BYTES, BigInt(memory.address + COMMAND_AT), true);
      memory.view.setUint32(COMMAND_AT, command, true);
      memory.view.setUint32(COMMAND_AT + 4, value, true);
      return c.ioctl(fd, SIOCETHTOOL, memory.address) === 0 ? memory.view : null;
    });
  } finally {
    c.close(fd);
  }
}

function zeroEndedText(view: DataView, at: number, most: number): string {
  const field = new Uint8Array(view.buffer, at, most);
  const end = field.indexOf(0);
  return Buffer.from(end < 0 ? field : field.subarray(0, end)).toString();
}
