import { describe, expect, it } from 'vitest';
import { RECOGNISERS } from '../../classifier/apps/index.ts';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { recognisedApp } from '../../classifier/explain.ts';
import { parse } from '../../classifier/parse.ts';
import { L4, Parsed } from '../../classifier/parsed.ts';
import { readCapture } from '../../pcaps/cursor.ts';
import { APP_TYPES, APPS } from '../../rules/apps.ts';
import { TRACES } from '../support/run-cli.ts';

/** Calls back for each frame of one of the project's captures that has a payload which recognisers are asked about. */
async function forEachPayload(file: string, visit: (p: Parsed, slab: DataView) => void): Promise<void> {
  const p = new Parsed();
  await readCapture(TRACES + file, ({ view, offset, frameLength, wireLength, fcsLength }) => {
    parse(p, view, offset, frameLength, wireLength - fcsLength);
    if (p.problem === 0 && p.payloadCaptured > 0 && p.fragOffset <= 0) visit(p, view);
  });
}

/** @returns how many frames are which application, as explain says, by `app` or `app type` */
async function appsOf(file: string): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  await forEachPayload(file, (p, slab) => {
    const app = recognisedApp(p, slab);
    if (app === null) return;
    const answer = RECOGNISERS[app](p, slab);
    const type = Object.entries(APP_TYPES[app] ?? {}).find(([, number]) => number === answer)?.[0];
    const name = type === undefined ? app : `${app} ${type}`;
    counts[name] = (counts[name] ?? 0) + 1;
  });
  return counts;
}

describe('recognisers on the captures of real programs', () => {
  it.each([
    ['dns.pcapng', { 'dns query': 11, 'dns response': 11 }],
    ['dhcp.pcap', { dhcp: 9 }],
    ['http.pcap', { 'http request': 4, 'http response': 4 }],
    ['tls.pcap', { 'tls handshake': 1, 'tls mixed': 2, 'tls application-data': 6 }],
    ['ssh.pcapng', { ssh: 2 }],
    ['sip-rtp-call.pcapng', { 'sip request': 3, 'sip response': 3, rtcp: 6, rtp: 702 }],
    ['sip-tcp-call.pcapng', { 'sip request': 3, 'sip response': 3 }],
    ['iperf3.pcap', {}],
    ['offload.pcap.gz', {}],
    ['multicast-options.pcap', {}],
    ['arp-nd-vlan.pcap', {}],
  ])('find in %s what was recorded', async (file, expected) => {
    expect(await appsOf(file)).toEqual(expected);
  });

  it('find a BGP message, of every type, in each segment of a router that is not empty', async () => {
    const types = new Set<number>();
    await forEachPayload('bgp.pcapng', (p, slab) => {
      if (p.l4 !== L4.tcp || (p.srcPort !== 179 && p.dstPort !== 179)) return;
      types.add(RECOGNISERS.bgp(p, slab));
    });
    expect([...types].sort((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 31]);
  });

  it('find both sides of a WireGuard handshake, and data', async () => {
    const counts = await appsOf('wireguard.pcap');
    expect(Object.keys(counts).sort()).toEqual(['wireguard data', 'wireguard initiation', 'wireguard response']);
  });

  it('find the first packets of a QUIC connection, and none behind its handshake', async () => {
    const found: boolean[] = [];
    await forEachPayload('quic.pcapng', (p, slab) => {
      expect(RECOGNISERS.rtp(p, slab)).toBe(ANSWER.no);
      found.push(RECOGNISERS.quic(p, slab) === ANSWER.yes);
    });
    expect(found[0]).toBe(true);
    expect(found.lastIndexOf(true)).toBeLessThan(found.length / 2);
  });

  it('take each frame for one application only', async () => {
    for (const file of ['dns.pcapng', 'http.pcap', 'tls.pcap', 'sip-rtp-call.pcapng', 'bgp.pcapng', 'dhcp.pcap']) {
      await forEachPayload(file, (p, slab) => {
        expect(APPS.filter((app) => RECOGNISERS[app](p, slab) >= ANSWER.yes).length).toBeLessThanOrEqual(1);
      });
    }
  });
});
