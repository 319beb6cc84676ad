import type { GatewayConfig, VmConfig } from './config.ts';
import { DEFAULT_LIMITS } from './occupancy.ts';

/** What holds where the operator says nothing. */
export const CONFIG_DEFAULTS: {
  readonly log: GatewayConfig['log'];
  readonly vm: Omit<VmConfig, 'name' | 'pairs'>;
} = {
  log: { level: 'info', format: 'auto' },
  vm: {
    replicated: false,
    rules: null,
    limits: DEFAULT_LIMITS,
    buffer: 'memory',
    pacing: 'burst',
    overflow: 'drop',
    announce: [],
  },
};

/**
 * @returns where the host interface's socket is unless somebody says otherwise: /run/holdfast/control for root, else in the
 * user's runtime folder; null for a user without one
 */
export function defaultControl(
  uid = process.geteuid?.(),
  runtimeFolder = process.env.XDG_RUNTIME_DIR ?? '',
): string | null {
  if (uid === 0) return '/run/holdfast/control';
  return runtimeFolder.startsWith('/') ? `${runtimeFolder}/holdfast/control` : null;
}

/** For the error where there is none. */
export const NO_CONTROL = {
  expected: "the host interface's socket path",
  hint: 'only root, and users with XDG_RUNTIME_DIR, have a default',
} as const;

/** @returns the state folder unless somebody says otherwise */
export function stateBeside(control: string): string {
  return `${control}.state`;
}
