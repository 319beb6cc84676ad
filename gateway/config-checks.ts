import { quote } from '../rules/errors.ts';
import type { VmConfig } from './config.ts';
import { type ConfigPlace, type ConfigProblems, placeText } from './config-problem.ts';
import { isNetdev } from './config-values.ts';
import type { OverflowPolicy } from './forward.ts';
import { Occupancy, type TxBufferLimits } from './occupancy.ts';
import { type Backend, type PortSpec, portSpecText } from './port/spec.ts';
import { SUPER_FRAME_BYTES } from './port/vnet-header.ts';
import { MAX_SLAB_BYTES, vmSlabBytes } from './vm-parts.ts';

/** Their records take about a gigabyte. */
const MAX_FRAMES = 2 ** 24;

/** Where a person wrote the ports of a VM. */
export interface VmPlaces {
  /** In the order of `VmConfig.pairs`. */
  readonly pairs: readonly { readonly inside: ConfigPlace; readonly outside: ConfigPlace }[];
}

/** Limits under which a VM cannot work are reported as `Vm` and `TxBuffer` would refuse them. */
export function checkLimits(
  limits: TxBufferLimits,
  places: { readonly frames: ConfigPlace; readonly bytes: ConfigPlace; readonly behind: ConfigPlace },
  overflow: OverflowPolicy,
  problems: ConfigProblems,
): void {
  if (limits.limitBytes < SUPER_FRAME_BYTES) {
    problems.add('bad-value', places.bytes, `the transmit buffer has ${limits.limitBytes} bytes`, {
      expected: `at least ${SUPER_FRAME_BYTES}`,
      hint: 'the longest frame must fit',
    });
    return;
  }
  if (limits.limitFrames + limits.sealReserveFrames > MAX_FRAMES) {
    problems.add('bad-value', places.frames, 'the transmit buffer has too many frames', {
      expected: `at most ${MAX_FRAMES} with its reserve`,
      hint: 'each takes memory also where none waits',
    });
    return;
  }
  if (vmSlabBytes(limits, SUPER_FRAME_BYTES) > MAX_SLAB_BYTES) {
    problems.add('bad-value', places.bytes, 'the transmit buffer is too large', {
      expected: 'less than 4 GiB for its bytes, its reserve and the frames on their way together',
    });
  }
  const takesFrame = new Occupancy(limits).roomFor(SUPER_FRAME_BYTES, false) > 0;
  if (overflow === 'backpressure' && !takesFrame) {
    problems.add('bad-value', places.behind, 'with backpressure nothing would ever be read', {
      expected: `a share of ${SUPER_FRAME_BYTES} bytes and one frame at least`,
      hint: 'any frame may have to wait behind others, also the longest',
    });
  }
}

const PUSHES_BACK: Readonly<Record<Backend, boolean>> = {
  packet: false,
  ring: false,
  xdp: false,
  tap: false,
  pcap: false,
  ip: false,
  stream: true,
  'stream-listen': true,
  'stream-connect': true,
};

/** Backpressure needs inside ports that push back: a tap or a packet socket loses frames instead. */
export function checkOverflow(
  { pairs, overflow }: VmConfig,
  place: ConfigPlace,
  option: string,
  problems: ConfigProblems,
): void {
  if (overflow !== 'backpressure') return;
  const deaf = pairs.find(({ inside }) => !PUSHES_BACK[inside.backend]);
  if (deaf === undefined) return;
  problems.add('conflict', place, `port ${quote(deaf.inside.arg)} cannot push back`, {
    expected: `${option} drop`,
    hint: 'only stream ports can make the VM wait',
  });
}

/** No name twice, and no link: a second port would take the first one's frames. */
export function checkTogether(
  vms: readonly VmConfig[],
  places: readonly VmPlaces[],
  control: string,
  problems: ConfigProblems,
): void {
  const links = new Map<string, ConfigPlace | null>([[`unix:${control}`, null]]);
  for (const [v, vm] of vms.entries()) {
    for (const [p, pair] of vm.pairs.entries()) {
      for (const side of ['inside', 'outside'] as const) {
        const place = places[v]!.pairs[p]![side];
        if (side === 'inside' && pair.inside.backend === 'ip') {
          problems.add('bad-value', place, `${quote(portSpecText(pair.inside))} cannot be an inside port`, {
            expected: 'it outside',
            hint: 'it answers ARP for every address, and would take all of the network’s',
          });
        }
        const link = linkOf(pair[side]);
        const before = links.get(link);
        if (before === undefined) links.set(link, place);
        else if (before === null) problems.add('conflict', place, `${quote(link)} is the control socket`);
        else problems.add('conflict', place, `${quote(pair[side].arg)} is a port already: ${placeText(before)}`);
      }
    }
  }
}

/** `packet:tap0` and `tap:tap0` are on one link. */
function linkOf(spec: PortSpec): string {
  return isNetdev(spec) ? `device ${spec.arg}` : spec.arg;
}
