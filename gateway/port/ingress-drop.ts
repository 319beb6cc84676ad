import { ERRNO } from './libc.ts';
import { attributes, joined, NetlinkError, NLM, netlinkRequest, readAttributes, u32, zeroEnded } from './netlink.ts';
import { PortError } from './port-error.ts';

const RTM = { newQdisc: 36, deleteQdisc: 37, newFilter: 44, deleteFilter: 45, getFilter: 46 } as const;
const TCA = { kind: 1, options: 2 } as const;
const TCA_BPF = { opsLength: 4, ops: 5, flags: 8 } as const;
const BPF_DIRECT_ACTION = 1;
/** linux/pkt_sched.h: the qdisc's handle, its parent, and the parents of its two filter chains. */
const CLSACT = { handle: 0xffff0000, parent: 0xfffffff1, ingress: 0xfffffff2, egress: 0xfffffff3 } as const;
/** Before every other filter, for every protocol: htons(ETH_P_ALL). */
const PRIORITY_AND_PROTOCOL = (1 << 16) | 0x0300;
const FILTER_HANDLE = 1;
/**
 * The classic BPF program of the filter, two instructions of 8 bytes: load "HOLD", by which the filter is known as ours, and
 * return 2, which is TC_ACT_SHOT.
 */
const PROGRAM = Uint8Array.of(0x00, 0, 0, 0, 0x44, 0x4c, 0x4f, 0x48, 0x06, 0, 0, 0, 2, 0, 0, 0);

/**
 * Drops what comes in at a device, behind the packet sockets that see it and before everything else of the kernel: the
 * kernel neither forwards nor answers what the gateway forwards. After a crash it stays, and the next port takes it over.
 */
export class IngressDrop {
  readonly #index: number;
  readonly #ownsQdisc: boolean;
  /** It was there: another port's, or left behind by a crash. */
  readonly wasThere: boolean;

  /** @throws PortError `guard-failed` */
  constructor(index: number) {
    this.#index = index;
    const isOurs = isPresent(index);
    this.wasThere = isOurs;
    try {
      this.#ownsQdisc = makeQdisc(index) || isOurs;
      if (!isOurs) makeFilter(index);
    } catch (error) {
      throw failed(error instanceof NetlinkError ? error.message : String(error));
    }
    if (!isPresent(index)) throw failed('the kernel accepted it, and it is not there');
  }

  /** Takes the drop away, and what it needed, as far as others do not use it. A device that is gone needs nothing. */
  remove(): void {
    attempt(RTM.deleteFilter, message(this.#index, FILTER_HANDLE, CLSACT.ingress, PRIORITY_AND_PROTOCOL));
    if (this.#ownsQdisc && filters(this.#index, CLSACT.ingress) + filters(this.#index, CLSACT.egress) === 0) {
      attempt(RTM.deleteQdisc, message(this.#index, CLSACT.handle, CLSACT.parent, 0));
    }
  }
}

/** @returns whether the device drops what comes in, by us */
function isPresent(index: number): boolean {
  return filterBodies(index, CLSACT.ingress).some((body) => {
    const options = readAttributes(body, 20).get(TCA.options);
    const ops = options && readAttributes(options, 0).get(TCA_BPF.ops);
    return ops !== undefined && Buffer.from(ops).equals(PROGRAM);
  });
}

/** @returns false where one was there */
function makeQdisc(index: number): boolean {
  const body = joined(
    message(index, CLSACT.handle, CLSACT.parent, 0),
    attributes([TCA.kind, zeroEnded('clsact')], [TCA.options, new Uint8Array()]),
  );
  try {
    netlinkRequest(RTM.newQdisc, NLM.create | NLM.exclusive, body);
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.errno === ERRNO.EEXIST) return false;
    throw error;
  }
}

function makeFilter(index: number): void {
  const length = new Uint8Array(2);
  length[0] = PROGRAM.length / 8;
  const options = attributes(
    [TCA_BPF.opsLength, length],
    [TCA_BPF.ops, PROGRAM],
    [TCA_BPF.flags, u32(BPF_DIRECT_ACTION)],
  );
  const body = joined(
    message(index, FILTER_HANDLE, CLSACT.ingress, PRIORITY_AND_PROTOCOL),
    attributes([TCA.kind, zeroEnded('bpf')], [TCA.options, options]),
  );
  netlinkRequest(RTM.newFilter, NLM.create | NLM.exclusive, body);
}

function filters(index: number, parent: number): number {
  return filterBodies(index, parent).filter((body) => readAttributes(body, 20).has(TCA.options)).length;
}

function filterBodies(index: number, parent: number): Uint8Array[] {
  try {
    return netlinkRequest(RTM.getFilter, NLM.dump, message(index, 0, parent, 0));
  } catch (error) {
    // No qdisc that could have filters, or no device.
    if (error instanceof NetlinkError) return [];
    throw error;
  }
}

function attempt(type: number, body: Uint8Array): void {
  try {
    netlinkRequest(type, 0, body);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
  }
}

/** struct tcmsg */
function message(index: number, handle: number, parent: number, info: number): Uint8Array {
  const body = new Uint8Array(20);
  const view = new DataView(body.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, handle, true);
  view.setUint32(12, parent, true);
  view.setUint32(16, info, true);
  return body;
}

function failed(why: string): PortError {
  return new PortError(
    'guard-failed',
    `the drop of what the kernel would forward by itself could not be set up: ${why}`,
  );
}
