import { expect } from 'vitest';
import type { GatewayConfig } from '../../gateway/config.ts';
import { parseConfig } from '../../gateway/config-file.ts';
import { formatConfigError } from '../../gateway/config-problem.ts';

/** One VM in its shortest form, and what stands above and in it. */
export function withVm({ top = '', vm = '' }: { top?: string; vm?: string }): string {
  return `control: /run/c\n${top}vms:\n  a:\n    inside: tap0\n    outside: eth0\n${vm}`;
}

/** Expects that there are no errors. */
export function parsed(text: string, file = '/etc/holdfast.yaml'): GatewayConfig {
  const { config, errors } = parseConfig(text, file);
  expect(errors.map(formatConfigError)).toEqual([]);
  return config!;
}

/** @returns every line that is told, about a file h.yaml */
export function errorsOf(text: string): string[] {
  const { config, errors } = parseConfig(text, 'h.yaml');
  expect(config === null).toBe(errors.length > 0);
  return errors.map(formatConfigError);
}
