import { mkdirSync, readlinkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readOwned } from '../durable/owned-file.ts';
import { Unbelievable } from '../durable/unbelievable.ts';
import { BridgeError } from './bridge-error.ts';
import type { PairNames } from './names.ts';
import type { PortEntries } from './port-entries.ts';
import type { PortSettings } from './port-settings.ts';

const VERSION = 1;
const MOST_BYTES = 2 ** 20;
const PHASES = ['attaching', 'attached', 'detaching'] as const;

/** How a tap was before the gateway came to it. */
export interface TapBefore {
  /** Null: it was in no bridge. */
  readonly master: string | null;
  /** Of `net.ipv6.conf`; null in a kernel without IPv6. */
  readonly disableIpv6: string | null;
  /** It had a qdisc for filters of what comes in. */
  readonly hasQdisc: boolean;
  /** Those that were switched off. */
  readonly offloads: readonly string[];
  /** As the bridge's port; null where it was none. */
  readonly port: PortSettings | null;
  /** The port's state, where somebody had set another one than the kernel gives. */
  readonly portState: string | null;
  readonly entries: PortEntries;
}

/** What is being done to a tap: written before the first change, and so enough to undo it wherever it stopped. */
export interface Journal {
  readonly phase: (typeof PHASES)[number];
  /** The network namespace that all of this is in. */
  readonly netns: string;
  readonly tap: string;
  /** Of the tap: one that is made anew under its name is another one. */
  readonly index: number;
  readonly tapMac: string;
  readonly bridge: string;
  readonly bridgeMac: string;
  readonly names: PairNames;
  /** Of the outside port, made up for it: by this it is known as ours. */
  readonly outsideMac: string;
  readonly offloads: 'keep' | 'off';
  readonly before: TapBefore;
}

/** Journals of taps in a folder, one file each. */
export class Journals {
  readonly #folder: string;

  /** @param folder is made, for its owner alone, with the first journal */
  constructor(folder: string) {
    this.#folder = folder;
  }

  get folder(): string {
    return this.#folder;
  }

  path(tap: string): string {
    return join(this.#folder, `${encodeURIComponent(tap)}.json`);
  }

  makeFolder(): void {
    try {
      mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    } catch (error) {
      throw new BridgeError('bad-journal', `${this.#folder}: ${(error as Error).message}`);
    }
  }

  /** @returns null where there is none @throws BridgeError `bad-journal` */
  read(tap: string): Journal | null {
    const path = this.path(tap);
    try {
      const bytes = readOwned(path, MOST_BYTES);
      return bytes === null ? null : parseJournal(new TextDecoder().decode(bytes), tap);
    } catch (error) {
      if (!(error instanceof Unbelievable)) throw error;
      throw new BridgeError(
        'bad-journal',
        `${path} is not believed: ${error.message}; look at the links, then remove it`,
      );
    }
  }

  write(journal: Journal): void {
    this.makeFolder();
    const path = this.path(journal.tap);
    const next = `${path}.next`;
    rmSync(next, { force: true });
    writeFileSync(next, `${JSON.stringify({ version: VERSION, ...journal }, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
    renameSync(next, path);
  }

  remove(tap: string): void {
    rmSync(this.path(tap), { force: true });
  }
}

/** @returns what tells this network namespace from others */
export function ownNetns(): string {
  return readlinkSync('/proc/self/ns/net');
}

/** @throws Unbelievable */
export function parseJournal(text: string, tap: string): Journal {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Unbelievable('it is no JSON');
  }
  if (!isRecord(value)) throw new Unbelievable('it is no object');
  if (value.version !== VERSION)
    throw new Unbelievable(`it is of version ${JSON.stringify(value.version)}, not ${VERSION}`);
  const { version: _, ...journal } = value;
  for (const [name, isValid] of Object.entries(JOURNAL)) {
    if (!isValid(journal[name])) throw new Unbelievable(`'${name}' is ${JSON.stringify(journal[name]) ?? 'missing'}`);
  }
  if (journal.tap !== tap) throw new Unbelievable(`it is of ${String(journal.tap)}`);
  return journal as unknown as Journal;
}

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value.length > 0;
/** Never taken for an option of a command. */
const isName: Check = (value) => typeof value === 'string' && /^[^\s/-][^\s/]{0,14}$/.test(value);
const isMac: Check = (value) => typeof value === 'string' && /^([\da-f]{2}:){5}[\da-f]{2}$/.test(value);
const isTexts: Check = (value) => Array.isArray(value) && value.every(isText);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const isBoolean: Check = (value) => typeof value === 'boolean';
const isSettings: Check = (value) => isRecord(value) && Object.values(value).every(isText);

const hasAll =
  (checks: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isRecord(value) && Object.entries(checks).every(([name, check]) => check(value[name]));

const JOURNAL: Readonly<Record<keyof Journal, Check>> = {
  phase: (value) => (PHASES as readonly unknown[]).includes(value),
  netns: isText,
  tap: isName,
  tapMac: isMac,
  index: (value) => Number.isSafeInteger(value) && (value as number) > 0,
  bridge: isName,
  bridgeMac: isMac,
  names: hasAll({ outside: isName, bridgePort: isName, standIn: isName, standInPeer: isName }),
  outsideMac: isMac,
  offloads: (value) => value === 'keep' || value === 'off',
  before: hasAll({
    master: orNull(isName),
    disableIpv6: orNull(isText),
    hasQdisc: isBoolean,
    offloads: isTexts,
    port: orNull(isSettings),
    portState: orNull(isText),
    entries: hasAll({ vlans: isTexts, fdb: isTexts, mdb: isTexts }),
  }),
};

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
