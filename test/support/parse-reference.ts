import type { Fields } from './parse-frame.ts';
import type { ReferenceRow } from './reference-rows.ts';

/** IP on Ethernet, its tags, MPLS or PPPoE: elsewhere tshark looks through what the parser does not. */
const IS_DIRECT = /^eth:ethertype:(?:(?:vlan|ieee8021ad):ethertype:)*(?:mpls:|pppoes:ppp:)?(ip|ipv6)(?::|$)/;

/** @returns what the parser must find in the row's frame, of fields that tshark is an oracle for */
export function expectedFields(row: ReferenceRow): Partial<Fields> {
  if (row.encap !== '1' || Number(row.cap_len) < 14 || row.malformed !== '0') return {};
  const want: Partial<Fields> = { tags: ids(row.vlan_ids!) };
  if (want.tags!.length === 0) {
    if (row.eth_type !== '') want.etherType = Number(row.eth_type);
  } else if (row.last_etype !== '') {
    want.etherType = Number(row.last_etype);
  }
  const direct = IS_DIRECT.exec(row.stack!);
  if (direct === null || row.ip_proto === '') return want;
  want.l3 = direct[1] === 'ipv6' ? 'ip6' : 'ip4';
  want.src = row.src!;
  want.dst = row.dst!;
  want.proto = Number(row.ip_proto);
  if (row.frag_off !== '') {
    want.fragOffset = Number(row.frag_off);
    want.moreFrags = Number(row.more_frags);
  }
  if (row.sport !== '') {
    want.srcPort = Number(row.sport);
    want.dstPort = Number(row.dport);
  }
  if (row.tcp_flags !== '') {
    want.tcpFlags = Number(row.tcp_flags);
    if (row.tcp_seq !== '') want.tcpSeq = Number(row.tcp_seq);
    if (row.tcp_ack !== '') want.tcpAck = Number(row.tcp_ack);
    if (row.tcp_len !== '') want.payloadLength = Number(row.tcp_len);
  }
  return want;
}

function ids(text: string): number[] {
  return text === '' ? [] : text.split(',').map(Number);
}
