import { formatMac, parseIp4, parseIp6, parseMac } from '../../rules/addresses.ts';
import { bytesOfIp, textOfIp } from '../ip-bytes.ts';
import type { OwnAddress } from '../own-addresses.ts';
import type { Vm } from '../vm.ts';
import type { KnownAddress, Results } from './api.ts';
import { invalidParams } from './protocol.ts';
import type { Problem } from './schema.ts';

const MAC_BYTES = 6;

/** @returns what the VM announced itself, in words that another gateway takes */
export function listAddresses({ forwarder }: Vm): Results['vm.addresses'] {
  const { addresses } = forwarder.ownAddresses.toAnnounce();
  return {
    addresses: addresses.map(({ ip, mac, tags, pair, isRouter, overrides }) => ({
      ip: textOfIp(ip),
      mac: formatMac(mac.reduce((value, byte) => (value << 8n) | BigInt(byte), 0n)),
      tags: tags.map((tag) => tag >>> 0),
      pair,
      router: isRouter,
      override: overrides,
    })),
  };
}

/** Announces what the VM announced, here or as `written` says elsewhere. */
export function announce(vm: Vm, term: number, written: readonly KnownAddress[]): Results['vm.announce'] {
  const problems: Problem[] = [];
  const addresses = written.flatMap((one, i) =>
    addressOf(one, `addresses[${i}]`, vm.forwarder.announcer.pairs, problems),
  );
  if (problems.length > 0) throw invalidParams(problems);
  return vm.announce(term, addresses);
}

function addressOf(written: KnownAddress, field: string, pairs: number, problems: Problem[]): OwnAddress[] {
  const { ip, tags, pair, router, override } = written;
  const mac = parseMac(written.mac);
  const isIp = parseIp4(ip) !== null || parseIp6(ip) !== null;
  if (!isIp) problems.push({ field: `${field}.ip`, message: 'expected an IPv4 or IPv6 address' });
  if (mac === null) problems.push({ field: `${field}.mac`, message: 'expected six bytes as 02:00:00:00:00:01' });
  if (pair >= pairs) problems.push({ field: `${field}.pair`, message: `the VM has ${pairs} here, counted from 0` });
  if (!isIp || mac === null || pair >= pairs) return [];
  const macBytes = Uint8Array.from({ length: MAC_BYTES }, (_, k) =>
    Number((mac >> BigInt(8 * (MAC_BYTES - 1 - k))) & 0xffn),
  );
  return [{ ip: bytesOfIp(ip), mac: macBytes, tags, pair, isRouter: router, overrides: override }];
}
