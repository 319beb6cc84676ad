import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ShippedSet } from '../../rules/load.ts';
import { explainTrace, goldens, goldenText } from '../support/golden.ts';
import { TRACES } from '../support/run-cli.ts';

interface Explained {
  readonly pkt: number;
  readonly etherType: number | null;
  readonly vlans: number[];
  readonly l4: string | null;
  readonly src: string | null;
  readonly srcPort: number | null;
  readonly fragOffset: number | null;
  readonly proto: number | null;
  readonly app: string | null;
  readonly direction: string;
  readonly class: string | null;
  readonly verdict: string;
  readonly reason: string;
}

/** @returns the frames of the VM */
async function sent(capture: string, rules: ShippedSet): Promise<Explained[]> {
  const lines = (await explainTrace(capture, rules)) as unknown as Explained[];
  return lines.filter(({ direction }) => direction === 'outbound');
}

const verdictsOf = (frames: readonly Explained[]) => [...new Set(frames.map(({ verdict }) => verdict))];

describe('the golden verdicts', () => {
  it('are there for every capture, and none is left over', () => {
    const files = readdirSync(TRACES).filter((name) => name.endsWith('.expect.ndjson'));
    expect(files.sort()).toEqual(
      goldens()
        .map(({ file }) => file)
        .sort(),
    );
  });

  it.each(goldens())('$file is what explain says', async (golden) => {
    expect(await goldenText(golden)).toBe(readFileSync(TRACES + golden.file, 'utf8'));
  });
});

describe('what the table of captures says about the interesting frames', () => {
  it('ARP, neighbour discovery and MLD are held whatever tags they wear; only answers to pings pass', async () => {
    for (const rules of ['default', 'telephony'] as const) {
      const frames = await sent('arp-nd-vlan.pcap', rules);
      for (const vlans of ['[]', '[100]', '[200,100]']) {
        const talk = frames.filter((frame) => JSON.stringify(frame.vlans) === vlans);
        const arp = talk.filter(({ etherType }) => etherType === 0x0806);
        expect(arp.length).toBeGreaterThanOrEqual(2);
        expect(verdictsOf(arp)).toEqual(['hold']);
        const passed = talk.filter(({ verdict }) => verdict === 'pass');
        expect(passed).toHaveLength(rules === 'default' ? 4 : 0);
        for (const { l4 } of passed) expect(l4).toMatch(/^icmp/);
      }
    }
  });

  it.each([
    ...['dhcp.pcap', 'dns.pcapng', 'http.pcap', 'tls.pcap', 'ssh.pcapng', 'offload.pcap.gz', 'sip-tcp-call.pcapng'],
    ...['bfd.pcap', 'dhcp-relay.pcapng', 'igmp-mld.pcap', 'pim.pcapng', 'quic.pcapng', 'wireguard.pcap'],
  ])('%s: all that the VM says is control', async (capture) => {
    const frames = await sent(capture, 'default');
    expect(frames.length).toBeGreaterThan(5);
    expect(new Set(frames.map(({ verdict, class: name }) => `${verdict} ${name}`))).toEqual(new Set(['hold control']));
  });

  it('of a call, RTP passes and SIP, RTCP and ARP are held', async () => {
    for (const rules of ['default', 'telephony'] as const) {
      const frames = await sent('sip-rtp-call.pcapng', rules);
      const passed = frames.filter(({ verdict }) => verdict === 'pass');
      expect(passed).toHaveLength(351);
      for (const { app, srcPort, class: name } of passed) expect([app, srcPort, name]).toEqual(['rtp', 16_398, 'data']);
      const sip = frames.filter(({ app }) => app === 'sip');
      expect(sip).toHaveLength(3);
      expect(verdictsOf(sip)).toEqual(['hold']);
      const rtcp = frames.filter(({ srcPort }) => srcPort === 16_399);
      expect(rtcp.length).toBeGreaterThanOrEqual(3);
      expect(verdictsOf(rtcp)).toEqual(['hold']);
    }
  });

  it('later fragments share the verdict of their first one', async () => {
    for (const rules of ['default', 'telephony'] as const) {
      const frames = await sent('fragments.pcapng', rules);
      const later = frames.filter(({ fragOffset }) => fragOffset !== null && fragOffset > 0);
      expect(later.length).toBeGreaterThan(20);
      expect(new Set(later.map(({ reason }) => reason))).toEqual(new Set(['fragment']));
      const [echo, datagrams] = [later.filter(({ proto }) => proto !== 17), later.filter(({ proto }) => proto === 17)];
      expect(verdictsOf(echo)).toEqual([rules === 'default' ? 'pass' : 'hold']);
      expect(verdictsOf(datagrams)).toEqual(['hold']);
    }
  });

  it('an ICMP error is held, and so is what the VM forwards', async () => {
    const frames = await sent('icmp.pcapng', 'default');
    const forwarded = frames.filter(({ src }) => src === '192.0.2.1');
    expect(forwarded).toHaveLength(2);
    expect(verdictsOf(forwarded)).toEqual(['hold']);
    // Answers to two pings.
    expect(frames.filter(({ verdict }) => verdict === 'pass')).toHaveLength(2);
    expect(frames.filter(({ verdict }) => verdict === 'hold').length).toBeGreaterThanOrEqual(8);
  });

  it('UDP from a media l4Port that is no RTP is held by the shipped sets', async () => {
    for (const capture of ['iperf3.pcap', 'multicast-options.pcap']) {
      for (const rules of ['default', 'telephony'] as const)
        expect(verdictsOf(await sent(capture, rules))).toEqual(['hold']);
    }
  });
});
