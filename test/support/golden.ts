import { readdirSync } from 'node:fs';
import { holdfast, jsonLines, TRACE_VM, TRACES } from './run-cli.ts';

export interface Golden {
  readonly capture: string;
  readonly rules: 'default' | 'telephony';
  /** File name in the captures' folder. */
  readonly file: string;
}

/** Captures in which telephony matters: calls, and what it holds while default lets it pass. */
const TELEPHONY = ['arp-nd-vlan', 'fragments', 'icmp', 'sip-rtp-call', 'sip-tcp-call'];

/** @returns every golden file that there has to be */
export function goldens(): Golden[] {
  const captures = readdirSync(TRACES).filter((name) => /\.(pcap|pcapng|pcap\.gz)$/.test(name));
  return captures.sort().flatMap((capture) => {
    const name = capture.slice(0, capture.indexOf('.'));
    const sets = TELEPHONY.includes(name) ? (['default', 'telephony'] as const) : (['default'] as const);
    return sets.map((rules) => ({ capture, rules, file: `${name}.${rules}.expect.ndjson` }));
  });
}

const explained = new Map<string, Promise<Record<string, unknown>[]>>();

/** @returns the lines of `explain --json`; a capture is explained once per rule set */
export function explainTrace(capture: string, rules: string): Promise<Record<string, unknown>[]> {
  const key = `${capture} ${rules}`;
  const known = explained.get(key);
  if (known !== undefined) return known;
  const lines = explain(capture, rules);
  explained.set(key, lines);
  return lines;
}

async function explain(capture: string, rules: string): Promise<Record<string, unknown>[]> {
  const args = ['explain', '--json', '--rules', rules, '--vm', TRACE_VM, TRACES + capture];
  const { code, stdout, stderr } = await holdfast(args);
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
