import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { SHIPPED_SETS, type ShippedSet, shippedRulesPath } from '../../rules/load.ts';
import { CAPTURES, captureFiles, NO_CAPTURES } from '../support/captures.ts';
import { type ReferenceRow, referenceByPacket } from '../support/reference-rows.ts';
import { filledIn, type Values } from '../support/shipped.ts';
import { generationOf, type Judged, judgeCapture } from '../support/verdicts.ts';

/** Routing, redundancy and link protocols, under the names that tshark has for them. */
const NEIGHBOURS = [
  ...['arp', 'ospf', 'bgp', 'vrrp', 'bfd', 'igmp', 'pim', 'isis', 'eigrp', 'hsrp', 'rip', 'ripng', 'ldp', 'cdp'],
  ...['stp', 'lldp', 'dtp', 'vtp', 'dhcp', 'dhcpv6', 'isis.hello', 'isis.lsp', 'ieee8021ah'],
];
const SERVICES = ['tcp', 'sctp', 'sip', 'dns', 'mdns', 'llmnr', 'rtcp', 'quic', 'gquic', 'tls', 'dtls', 'stun', 'snmp'];

/** What no frame that a set passes may be. */
const NEVER: Readonly<Record<ShippedSet, readonly string[]>> = {
  default: [...NEIGHBOURS, ...SERVICES, 'ntp', 'nbns', 'esp', 'gre'],
  telephony: [...NEIGHBOURS, ...SERVICES, 'ntp', 'nbns', 'esp', 'gre', 'icmp', 'icmpv6'],
  web: [...NEIGHBOURS, ...SERVICES.filter((name) => name !== 'dns'), 'nbns', 'rtp', 'esp', 'gre'],
  router: NEIGHBOURS,
  'hold-all': ['eth'],
};
/** The least careful user: forwards for everyone, and has forgotten the router's own addresses. */
const CARELESS: Readonly<Partial<Record<ShippedSet, Values>>> = {
  router: { FORWARDED4: '0.0.0.0/0', FORWARDED6: '::/0' },
  web: { STATIC: '1-65535' },
};

interface Capture {
  readonly file: string;
  readonly rows: ReadonlyMap<string, ReferenceRow>;
  /** By rule text, in the order given. */
  readonly judged: readonly (readonly Judged[])[];
}

/** Each reference capture under each of the rules. */
async function judgeAll(texts: readonly string[]): Promise<Capture[]> {
  const captures: Capture[] = [];
  for (const file of captureFiles()) {
    const path = join(CAPTURES!, file);
    // Some are no captures at all, on purpose.
    const judged = await judgeCapture(path, texts.map(generationOf)).catch(() => null);
    if (judged !== null) captures.push({ file, rows: referenceByPacket(file), judged });
  }
  return captures;
}

describe('the shipped rule sets on real captures', () => {
  beforeEach(({ skip }) => skip(CAPTURES === null, NO_CAPTURES));

  it('pass no frame that tshark takes for what they hold', { timeout: 60_000 }, async () => {
    const texts = SHIPPED_SETS.map((set) => filledIn(set, CARELESS[set] ?? {}));
    const wrong: string[] = [];
    const met = new Set<string>();
    for (const { file, rows, judged } of await judgeAll(texts)) {
      for (const { stack } of rows.values()) for (const name of stack!.split(':')) met.add(name);
      SHIPPED_SETS.forEach((set, index) => {
        for (const { packet, verdict } of judged[index]!) {
          const protocols = (rows.get(String(packet))?.stack ?? '').split(':');
          const never = NEVER[set].find((name) => protocols.includes(name));
          if (verdict === 'pass' && never !== undefined) wrong.push(`${set} passes ${never}: ${file} ${packet}`);
        }
      });
    }
    expect(wrong).toEqual([]);
    // The captures have most of it.
    for (const name of ['arp', 'ospf', 'bgp', 'vrrp', 'bfd', 'dhcp', 'sip', 'stp', 'pim', 'igmp', 'isis', 'quic'])
      expect(met).toContain(name);
  });

  it('router as it is shipped passes nothing', { timeout: 60_000 }, async () => {
    for (const { file, judged } of await judgeAll([filledIn('router', {})])) {
      expect([file, judged[0]!.filter(({ verdict }) => verdict === 'pass')]).toEqual([file, []]);
    }
  });

  it('default passes the media that tshark finds, and hardly anything else', { timeout: 60_000 }, async () => {
    let media = 0;
    let passedMedia = 0;
    let passedOther = 0;
    for (const { rows, judged } of await judgeAll([filledIn('default', {})])) {
      for (const { packet, verdict } of judged[0]!) {
        const row = rows.get(String(packet));
        if (row === undefined || row.l4 !== 'udp') continue;
        const isMedia = row.rtp === '1' || row.rtp_heur === '1';
        if (isMedia) media += 1;
        if (verdict !== 'pass') continue;
        if (isMedia) passedMedia += 1;
        else passedOther += 1;
      }
    }
    expect(media).toBeGreaterThan(2000);
    expect(passedMedia / media).toBeGreaterThan(0.97);
    expect(passedOther).toBeLessThan(0.01 * passedMedia);
  });

  it.each(SHIPPED_SETS)(
    '%s passes no frame of which its head says that it is held',
    { timeout: 60_000 },
    async (set) => {
      const claims = readFileSync(shippedRulesPath(set), 'utf8').match(/(?<=^# @holds ).*$/gm) ?? [];
      expect(claims.length).toBeGreaterThanOrEqual(1);
      // A claim as a rule set of its own: what it names, and what not.
      const asRules = claims.map((claim) => `outbound {\n  ${claim} hold\n  default pass\n}\n`);
      const named = claims.map(() => 0);
      for (const { file, judged } of await judgeAll([filledIn(set, CARELESS[set] ?? {}), ...asRules])) {
        const [verdicts, ...byClaim] = judged;
        byClaim.forEach((claimed, index) => {
          claimed.forEach(({ packet, verdict, reason }, at) => {
            if (verdict !== 'hold' || (reason !== 'rule' && reason !== 'fragment')) return;
            named[index]! += 1;
            if (verdicts![at]!.verdict === 'pass') throw new Error(`${claims[index]} is passed: ${file} ${packet}`);
          });
        });
      }
      // A claim that names nothing anywhere would show nothing; the captures have no WireGuard, EtherType 802.1D or IS-IS over IP.
      expect(named.filter((count) => count > 0).length).toBeGreaterThan(0.6 * claims.length);
    },
  );
});
