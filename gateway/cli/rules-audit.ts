import type { Results } from '../host/api.ts';
import { EXIT } from './failure.ts';
import { type LiveOptions, tellJson } from './rules-live.ts';
import { grouped, printable, table } from './table.ts';
import { chosenVm, withHost } from './with-host.ts';

/** `holdfast rules audit`. @returns the exit code: 1 where nothing was audited */
export function rulesAudit(end: boolean, options: LiveOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    if (end) await host.call('rules.apply', { vm, audit: false });
    const result = await host.call('rules.audit', { vm });
    if (options.json === true) tellJson({ vm, ...result });
    else process.stdout.write(`${report(vm, result).join('\n')}\n`);
    return result.audit === null ? EXIT.no : EXIT.ok;
  });
}

function report(vm: string, { auditing, audit }: Results['rules.audit']): string[] {
  if (audit === null) return [`${vm}: no rules were audited yet`];
  const { frames, verdicts, rules } = audit;
  const lines = [`${vm}: ${auditing ? 'auditing' : 'the last audit'}, ${grouped(frames)} frames`];
  const cells = verdicts.map(({ direction, inForce, audited, frames: count, bytes }) => [
    direction,
    inForce,
    audited,
    count,
    bytes,
  ]);
  lines.push(...table(['direction', 'in force', 'audited', 'frames', 'bytes'], cells));
  for (const { inForce, audited, examples } of verdicts) {
    for (const { frame, ruleInForce, ruleAudited } of examples) {
      lines.push(`${inForce} -> ${audited}: ${frame}`);
      lines.push(`    ${printable(ruleInForce ?? 'no rule')} -> ${printable(ruleAudited ?? 'no rule')}`);
    }
  }
  const rows = rules.map((rule) => [rule.frames, rule.bytes, rule.verdict, printable(rule.text)]);
  return [...lines, ...table(['frames', 'bytes', 'verdict', 'audited rule'], rows)];
}
