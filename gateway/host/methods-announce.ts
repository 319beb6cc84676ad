import { formatMac, parseIp4, parseIp6, parseMac } from '../../rules/addresses.ts';
import { bytesOfIp, textOfIp } from '../ip-bytes.ts';
import { isGroup, type Membership } from '../memberships.ts';
import type { OwnAddress } from '../own-addresses.ts';
import type { Vm } from '../vm.ts';
import type { KnownAddress, KnownMembership, KnownReach, Results } from './api.ts';
import { invalidParams } from './protocol.ts';
import type { Problem } from './schema.ts';

const MAC_BYTES = 6;

/** @returns what the VM announced itself and the groups it joined, in words that another gateway takes */
export function listAddresses({ forwarder }: Vm): Results['vm.addresses'] {
  const { addresses, memberships } = forwarder.ownAddresses.toAnnounce();
  const joined = memberships.map(({ group, ip, version, sources, ...reach }) => ({
    group: textOfIp(group),
    ip: textOfIp(ip),
    ...writtenReach(reach),
    version,
    sources: sources.map(textOfIp),
  }));
  return {
    addresses: addresses.map(({ ip, isRouter, overrides, ...reach }) => ({
      ip: textOfIp(ip),
      ...writtenReach(reach),
      router: isRouter,
      override: overrides,
    })),
    ...(joined.length === 0 ? {} : { memberships: joined }),
  };
}

/** Announces what the VM announced and joined, here or as `known` says elsewhere. */
export function announce(vm: Vm, term: number, known: KnownReach): Results['vm.announce'] {
  const problems: Problem[] = [];
  const { pairs } = vm.forwarder.announcer;
  const addresses = known.addresses.flatMap((one, i) => addressOf(one, `addresses[${i}]`, pairs, problems));
  const { memberships: joined = [] } = known;
  const memberships = joined.flatMap((one, i) => membershipOf(one, `memberships[${i}]`, pairs, problems));
  if (problems.length > 0) throw invalidParams(problems);
  return vm.announce(term, addresses, memberships);
}

function addressOf(written: KnownAddress, field: string, pairs: number, problems: Problem[]): OwnAddress[] {
  const ip = ipOf(written.ip, `${field}.ip`, problems);
  const reach = reachOf(written, field, pairs, problems);
  if (ip === null || reach === null) return [];
  return [{ ip, ...reach, isRouter: written.router, overrides: written.override }];
}

function membershipOf(written: KnownMembership, field: string, pairs: number, problems: Problem[]): Membership[] {
  const { version } = written;
  const reach = reachOf(written, field, pairs, problems);
  const group = ipOf(written.group, `${field}.group`, problems);
  const [ip, ...sources] = [
    ipOf(written.ip, `${field}.ip`, problems),
    ...written.sources.map((text, i) => ipOf(text, `${field}.sources[${i}]`, problems)),
  ];
  if (reach === null || group === null || ip === null || ip === undefined) return [];
  const isOne = (source: Uint8Array | null): source is Uint8Array =>
    source?.length === group.length && !isGroup(source);
  if (!isGroup(group)) problems.push({ field: `${field}.group`, message: 'expected the address of a multicast group' });
  if (!isOne(ip)) problems.push({ field: `${field}.ip`, message: "expected an address of the group's kind" });
  if (!sources.every(isOne)) {
    problems.push({ field: `${field}.sources`, message: "expected addresses of the group's kind" });
  }
  const newest = group.length === 4 ? 3 : 2;
  if (version > newest) problems.push({ field: `${field}.version`, message: `MLD has versions 1 and ${newest}` });
  return [{ group, ip, ...reach, version, sources: sources.filter(isOne) }];
}

function writtenReach({ mac, tags, pair }: Pick<OwnAddress, 'mac' | 'tags' | 'pair'>) {
  return {
    mac: formatMac(mac.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)),
    tags: tags.map((tag) => tag >>> 0),
    pair,
  };
}

function reachOf(
  written: Pick<KnownAddress, 'mac' | 'tags' | 'pair'>,
  field: string,
  pairs: number,
  problems: Problem[],
): Pick<OwnAddress, 'mac' | 'tags' | 'pair'> | null {
  const { tags, pair } = written;
  const mac = parseMac(written.mac);
  if (mac === null) problems.push({ field: `${field}.mac`, message: 'expected six bytes as 02:00:00:00:00:01' });
  if (pair >= pairs) problems.push({ field: `${field}.pair`, message: `the VM has ${pairs} here, counted from 0` });
  if (mac === null || pair >= pairs) return null;
  const bytes = Uint8Array.from({ length: MAC_BYTES }, (_, k) =>
    Number((mac >> BigInt(8 * (MAC_BYTES - 1 - k))) & 0xffn),
  );
  return { mac: bytes, tags, pair };
}

function ipOf(text: string, field: string, problems: Problem[]): Uint8Array | null {
  if (parseIp4(text) !== null || parseIp6(text) !== null) return bytesOfIp(text);
  problems.push({ field, message: 'expected an IPv4 or IPv6 address' });
  return null;
}
