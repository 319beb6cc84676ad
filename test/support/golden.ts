import { readdirSync } from 'node:fs';
import type { ShippedSet } from '../../rules/load.ts';
import { holdfast, jsonLines, TRACE_VM, TRACES } from './run-cli.ts';
import { filledIn, RECORDED } from './shipped.ts';

export interface Golden {
  readonly capture: string;
  /** `router` and `web` as their users fill them in. */
  readonly rules: ShippedSet;
  /** File name in the captures' folder. */
  readonly file: string;
}

/** Captures in which another set than default matters, by its kind. */
const SETS: Readonly<Record<'telephony' | 'router' | 'web', readonly string[]>> = {
  telephony: ['arp-nd-vlan', 'fragments', 'icmp', 'sip-rtp-call', 'sip-tcp-call', 'wireguard'],
  router: ['arp-nd-vlan', 'bfd', 'bgp', 'dhcp-relay', 'icmp', 'igmp-mld', 'ospf', 'pim', 'vrrp'],
  web: ['dns', 'http', 'proxy', 'quic', 'tls'],
};

/** @returns every golden file that there has to be */
export function goldens(): Golden[] {
  const captures = readdirSync(TRACES).filter((name) => /\.(pcap|pcapng|pcap\.gz)$/.test(name));
  return captures.sort().flatMap((capture) => {
    const name = capture.slice(0, capture.indexOf('.'));
    const sets = (['telephony', 'router', 'web'] as const).filter((set) => SETS[set].includes(name));
    return (['default', ...sets] as const).map((rules) => ({ capture, rules, file: `${name}.${rules}.expect.ndjson` }));
  });
}

const explained = new Map<string, Promise<Record<string, unknown>[]>>();

/** @returns the lines of `explain --json`; a capture is explained once per rule set */
export function explainTrace(capture: string, rules: ShippedSet): Promise<Record<string, unknown>[]> {
  const key = `${capture} ${rules}`;
  const known = explained.get(key);
  if (known !== undefined) return known;
  const lines = explain(capture, rules);
  explained.set(key, lines);
  return lines;
}

async function explain(capture: string, rules: ShippedSet): Promise<Record<string, unknown>[]> {
  const isFilledIn = rules === 'router' || rules === 'web';
  const args = ['explain', '--json', '--rules', isFilledIn ? '-' : rules, '--vm', TRACE_VM, TRACES + capture];
  const { code, stdout, stderr } = await holdfast(args, isFilledIn ? { stdin: filledIn(rules, RECORDED[rules]) } : {});
  if (code !== 0) throw new Error(`explain of ${capture} ended with ${code}: ${stderr}`);
  return jsonLines(stdout);
}

/** @returns what the file has to say: a line per frame, as `explain` judges it now */
export async function goldenText({ capture, rules }: Golden): Promise<string> {
  const lines = (await explainTrace(capture, rules)).map((line) => {
    const { pkt, direction, class: name, verdict, rule, reason } = line;
    const handle = (rule as { handle: number } | null)?.handle ?? null;
    return JSON.stringify({ pkt, direction, class: name, verdict, rule: handle, reason });
  });
  return `${lines.join('\n')}\n`;
}
