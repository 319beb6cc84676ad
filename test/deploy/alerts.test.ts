/** The alert rules: every name in them is one that the gateway tells, and promtool plays them through. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { REASON_NAMES } from '../../classifier/verdict.ts';
import { FAMILY } from '../../gateway/metric-families.ts';
import { withoutPrograms } from '../support/programs.ts';
import { temporaryFolder } from '../support/run-cli.ts';

interface AlertRule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
}

const RULES = fileURLToPath(new URL('../../gateway/deploy/alerts.yaml', import.meta.url));
const PLAY = fileURLToPath(new URL('./alerts.promtool.yaml', import.meta.url));
const groups: readonly { readonly rules: readonly AlertRule[] }[] = parse(readFileSync(RULES, 'utf8')).groups;
const alerts = groups.flatMap(({ rules }) => rules);
const families = new Map(Object.values(FAMILY).map((family) => [family.name, family]));
const folder = temporaryFolder();

test.each(alerts.map((rule) => [rule.alert, rule] as const))(
  '%s asks for metrics and labels that there are',
  (_, rule) => {
    const names = rule.expr.match(/\bholdfast_\w+/g) ?? [];
    if (!rule.expr.startsWith('up{')) expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect([...families.keys()]).toContain(name);
    const known = new Set(names.flatMap((name) => families.get(name)!.labels));
    for (const [, label] of rule.annotations.summary.matchAll(/\$labels\.(\w+)/g)) {
      if (label !== 'instance') expect([...known]).toContain(label);
    }
    expect(['page', 'ticket']).toContain(rule.labels.severity);
  },
);

test('reasons in them are of the closed list', () => {
  const named = alerts.flatMap(({ expr }) =>
    [...expr.matchAll(/reason=~"([^"]+)"/g)].flatMap(([, list]) => list!.split('|')),
  );
  expect(named.length).toBeGreaterThan(8);
  for (const reason of named) expect(REASON_NAMES).toContain(reason);
});

describe('promtool', () => {
  const missing = withoutPrograms('promtool');

  test('has nothing to say against the rules', ({ skip }) => {
    skip(missing !== null, `${missing} (Debian: prometheus)`);
    const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', RULES], { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`${alerts.length} rules found`);
  });

  test('sees them fire when they should, and only then', ({ skip }) => {
    skip(missing !== null, `${missing} (Debian: prometheus)`);
    copyFileSync(RULES, folder.path('alerts.yaml'));
    const play = folder.write('play.yaml', readFileSync(PLAY));
    const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', play], { encoding: 'utf8' });
    expect(`${stdout}${stderr}`).toContain('SUCCESS');
    expect(status).toBe(0);
  });
});
