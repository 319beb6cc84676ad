import { concat, type Data, dataOf } from './build-bytes.ts';
import { type MplsOptions, mplsLayer, type PppoeOptions, pppoeLayer } from './build-carriers.ts';
import {
  type AhOptions,
  ahLayer,
  DESTINATION_OPTIONS,
  type FragmentOptions,
  fragmentLayer,
  HOP_BY_HOP,
  ip6OptionsLayer,
  type OptionsHeaderOptions,
  type RoutingOptions,
  routingLayer,
} from './build-ip6-extensions.ts';
import {
  type ArpOptions,
  arpLayer,
  type EthOptions,
  ethLayer,
  type Ip4Options,
  type Ip6Options,
  ip4Layer,
  ip6Layer,
  type Layer,
  type LlcOptions,
  llcLayer,
  snapLayer,
  type VlanOptions,
  vlanLayer,
} from './build-layers.ts';
import {
  type DccpOptions,
  dccpLayer,
  espLayer,
  type IcmpOptions,
  icmpLayer,
  icmpv6Layer,
  igmpLayer,
  type SctpChunkOptions,
  type SctpOptions,
  sctpChunkLayer,
  sctpLayer,
  type TcpOptions,
  tcpLayer,
  type UdpLiteOptions,
  type UdpOptions,
  udpLayer,
  udpLiteLayer,
} from './build-transport.ts';

/**
 * Builds a frame from its headers, outermost first, for tests:
 * `frame().eth().vlan(10).ip4({ dst: '192.0.2.9' }).udp(5060, 5060).payload('OPTIONS …').build()`.
 * Types, lengths and checksums follow from what is inside, unless an option says otherwise; a lie is written as told.
 */
export class FrameBuilder {
  readonly #layers: Layer[] = [];
  #leastBytes = 0;
  #mostBytes = Number.POSITIVE_INFINITY;

  eth(options: EthOptions = {}): this {
    return this.#add(ethLayer(options));
  }

  /** @param id 0..4095 */
  vlan(id: number, options: VlanOptions = {}): this {
    return this.#add(vlanLayer(id, options));
  }

  llc(options: LlcOptions = {}): this {
    return this.#add(llcLayer(options));
  }

  /** LLC and SNAP; what follows is named by its EtherType. */
  snap(options: { readonly oui?: number; readonly type?: number } = {}): this {
    return this.#add(snapLayer(options));
  }

  /** One entry of a label stack. @param label 0..1048575 */
  mpls(label: number, options: MplsOptions = {}): this {
    return this.#add(mplsLayer(label, options));
  }

  /** PPPoE and the PPP protocol number of what follows. */
  pppoe(options: PppoeOptions = {}): this {
    return this.#add(pppoeLayer(options));
  }

  arp(options: ArpOptions = {}): this {
    return this.#add(arpLayer(options));
  }

  ip4(options: Ip4Options = {}): this {
    return this.#add(ip4Layer(options));
  }

  ip6(options: Ip6Options = {}): this {
    return this.#add(ip6Layer(options));
  }

  hopopts(options: OptionsHeaderOptions = {}): this {
    return this.#add(ip6OptionsLayer(HOP_BY_HOP, options));
  }

  dstopts(options: OptionsHeaderOptions = {}): this {
    return this.#add(ip6OptionsLayer(DESTINATION_OPTIONS, options));
  }

  routing(options: RoutingOptions = {}): this {
    return this.#add(routingLayer(options));
  }

  fragment(options: FragmentOptions = {}): this {
    return this.#add(fragmentLayer(options));
  }

  ah(options: AhOptions = {}): this {
    return this.#add(ahLayer(options));
  }

  esp(options: { readonly spi?: number; readonly sequence?: number } = {}): this {
    return this.#add(espLayer(options));
  }

  udp(sport: number, dport: number, options: UdpOptions = {}): this {
    return this.#add(udpLayer(sport, dport, options));
  }

  udplite(sport: number, dport: number, options: UdpLiteOptions = {}): this {
    return this.#add(udpLiteLayer(sport, dport, options));
  }

  tcp(sport: number, dport: number, options: TcpOptions = {}): this {
    return this.#add(tcpLayer(sport, dport, options));
  }

  sctp(sport: number, dport: number, options: SctpOptions = {}): this {
    return this.#add(sctpLayer(sport, dport, options));
  }

  /** Behind `sctp`, any number of times. @param type 0..255 */
  chunk(type: number, options: SctpChunkOptions = {}): this {
    return this.#add(sctpChunkLayer(type, options));
  }

  dccp(sport: number, dport: number, options: DccpOptions = {}): this {
    return this.#add(dccpLayer(sport, dport, options));
  }

  icmp(options: IcmpOptions = {}): this {
    return this.#add(icmpLayer(options));
  }

  icmpv6(options: IcmpOptions = {}): this {
    return this.#add(icmpv6Layer(options));
  }

  igmp(options: IcmpOptions = {}): this {
    return this.#add(igmpLayer(options));
  }

  /** Bytes as they are; also for a header that the builder does not know. */
  payload(data: Data): this {
    const bytes = dataOf(data);
    return this.#add({ wrap: (content) => concat(bytes, content) });
  }

  /** Fills up with zeros at the end, as a NIC does to 60 bytes. */
  padTo(bytes: number): this {
    this.#leastBytes = bytes;
    return this;
  }

  /** Cuts the finished frame, whose lengths still tell of the whole. */
  truncateTo(bytes: number): this {
    this.#mostBytes = bytes;
    return this;
  }

  /** @returns a new array each time */
  build(): Uint8Array {
    let bytes: Uint8Array = new Uint8Array(0);
    for (let i = this.#layers.length - 1; i >= 0; i--) {
      const around = this.#layers.slice(0, i).findLast((layer) => layer.addresses !== undefined);
      bytes = this.#layers[i]!.wrap(bytes, { inner: this.#layers[i + 1], ip: around?.addresses });
    }
    if (bytes.length < this.#leastBytes) bytes = concat(bytes, new Uint8Array(this.#leastBytes - bytes.length));
    return bytes.slice(0, Math.min(bytes.length, this.#mostBytes));
  }

  #add(layer: Layer): this {
    this.#layers.push(layer);
    return this;
  }
}

/** @returns a builder without any header yet */
export function frame(): FrameBuilder {
  return new FrameBuilder();
}
