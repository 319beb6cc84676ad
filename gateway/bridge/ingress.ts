import { BridgeError } from './bridge-error.ts';
import type { Commands } from './commands.ts';

/**
 * Classic BPF: load a word by which the filter is known, and return 2, TC_ACT_SHOT. The gateway's ports have the like with a word
 * of their own (port/ingress-drop.ts), which stays when a gateway was killed.
 */
const OUR_WORD = 0x48_46_42_52;
const GATEWAYS_WORD = 0x48_4f_4c_44;
const LOAD = 0;
const PREFERENCE = '2';
const HANDLE = '1';

/** What is there to drop frames that come in at a device. */
export interface IngressState {
  /** A qdisc that filters can be in. */
  readonly hasQdisc: boolean;
  /** Filters of others than Holdfast, on the way in or out. */
  readonly isShared: boolean;
  /** Preference and handle of Holdfast's. */
  readonly ours: readonly Filter[];
  readonly gateways: readonly Filter[];
}

interface Filter {
  readonly preference: string;
  readonly handle: string;
}

export function readIngress(commands: Commands, device: string): IngressState {
  const qdiscs = commands.ask('tc', '-j', 'qdisc', 'show', 'dev', device);
  const hasQdisc = rows(qdiscs).some(({ kind }) => kind === 'clsact' || kind === 'ingress');
  if (!hasQdisc) return { hasQdisc, isShared: false, ours: [], gateways: [] };
  const inwards = rows(commands.ask('tc', '-j', 'filter', 'show', 'dev', device, 'ingress')).filter(hasOptions);
  const outwards = rows(commands.ask('tc', '-j', 'filter', 'show', 'dev', device, 'egress')).filter(hasOptions);
  const known = (word: number) => inwards.filter((row) => wordOf(row) === word).map(filterOf);
  const [ours, gateways] = [known(OUR_WORD), known(GATEWAYS_WORD)];
  return { hasQdisc, isShared: inwards.length + outwards.length > ours.length + gateways.length, ours, gateways };
}

/** What comes in at the device goes to packet sockets, and nowhere else. */
export function dropIngress(commands: Commands, device: string, { hasQdisc, ours }: IngressState): void {
  if (!hasQdisc) {
    // A gateway that waits for the device may make it at the same moment.
    const isThere = () => readIngress(commands, device).hasQdisc;
    runUnless(isThere, () => commands.run('tc', 'qdisc', 'add', 'dev', device, 'clsact'));
  }
  if (ours.length > 0) return;
  const program = `2,${LOAD} 0 0 ${OUR_WORD},6 0 0 2`;
  const filter = ['pref', PREFERENCE, 'protocol', 'all', 'handle', HANDLE, 'bpf', 'da', 'bytecode', program];
  commands.run('tc', 'filter', 'add', 'dev', device, 'ingress', ...filter);
}

/**
 * Takes Holdfast's drops away, also one that a killed gateway left.
 * @param hadQdisc the qdisc was there before
 */
export function undropIngress(commands: Commands, device: string, state: IngressState, hadQdisc: boolean): void {
  if (state.hasQdisc && !hadQdisc && !state.isShared) {
    const isGone = () => !readIngress(commands, device).hasQdisc;
    runUnless(isGone, () => commands.run('tc', 'qdisc', 'del', 'dev', device, 'clsact'));
    return;
  }
  for (const kind of ['gateways', 'ours'] as const) {
    for (const { preference, handle } of state[kind]) {
      const filter = ['pref', preference, 'protocol', 'all', 'handle', handle, 'bpf'];
      const isGone = () => readIngress(commands, device)[kind].every((one) => one.preference !== preference);
      // A gateway that lets go of the device takes its own away.
      runUnless(isGone, () => commands.run('tc', 'filter', 'del', 'dev', device, 'ingress', ...filter));
    }
  }
}

/** Tries, and is content where it fails because somebody else did it. */
function runUnless(isDone: () => boolean, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof BridgeError && error.code === 'command-failed') || !isDone()) throw error;
  }
}

interface Row {
  readonly kind?: string;
  readonly pref?: number;
  readonly options?: {
    readonly handle?: string;
    readonly bytecode?: { readonly insns?: readonly { readonly code: number; readonly k: number }[] };
  };
}

/** A line without options is the head of the filters below. */
function hasOptions({ options }: Row): boolean {
  return options !== undefined;
}

function wordOf({ options }: Row): number | null {
  const first = options?.bytecode?.insns?.[0];
  return first?.code === LOAD ? first.k : null;
}

function filterOf({ pref, options }: Row): Filter {
  return { preference: String(pref), handle: options!.handle! };
}

function rows(shown: unknown): readonly Row[] {
  return Array.isArray(shown) ? shown : [];
}
