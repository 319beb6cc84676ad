import { ETH } from '../classifier/headers.ts';

/** Where a machine is reached, as its neighbours know it from itself. */
export interface Reach {
  /** Which of the VM's pairs of ports leads there, from 0. */
  readonly pair: number;
  /** VLAN tags, outermost first: TPID in the upper 16 bits, tag control information in the lower. */
  readonly tags: readonly number[];
  readonly mac: Uint8Array;
}

/** @param at of the network header, whose EtherType stands before it @returns the tags between the Ethernet header and that */
export function tagsOf(view: DataView, start: number, at: number): number[] {
  const tags: number[] = [];
  for (let tag = start + ETH.type; tag < at - 2; tag += ETH.tag) tags.push(view.getUint32(tag));
  return tags;
}

/** @returns the pair of ports and the VLANs, without priorities, which are not part of where something is */
export function placeOf({ pair, tags }: Pick<Reach, 'pair' | 'tags'>): string {
  return `${pair} ${tags.map((tag) => tag & 0xffff0fff)}`;
}

/** @returns whether they have the same length and the same bytes */
export function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, k) => byte === b[k]);
}
