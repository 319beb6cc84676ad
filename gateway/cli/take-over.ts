import { setTimeout as sleep } from 'node:timers/promises';
import type { GatewayConfig } from '../config.ts';
import { StoreError } from '../durable/store-error.ts';
import { Gateway, type GatewayParts } from '../gateway.ts';
import { HostClient } from '../host/client.ts';
import { RequestError } from '../host/protocol.ts';
import { RuleCompiler } from '../live-rules/compiler.ts';
import { absoluteRules } from '../live-rules/rule-path.ts';
import { Failure } from './failure.ts';

/** For the other process to let go of everything. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 2;

/**
 * Goes on with the VMs of a gateway that runs: it is asked to end once everything is ready that can be made ready beside it. Terms, epochs
 * and frames in files are kept; a VM with a term waits until its host's next request.
 * @returns the gateway, and for how long no frame moved
 * @throws Failure while the other one still runs; what `Gateway.open` throws when it does not any more
 */
export async function takeOver(
  config: GatewayConfig,
  parts: GatewayParts,
): Promise<{ gateway: Gateway; gapMs: number }> {
  const compiler = new RuleCompiler();
  try {
    for (const { rules } of config.vms)
      await compiler.compile({ kind: 'file', path: absoluteRules(rules ?? 'default') });
    const start = await askToLeave(config.control);
    for (;;) {
      try {
        const gateway = await Gateway.open(config, { ...parts, compiler });
        return { gateway, gapMs: performance.now() - start };
      } catch (error) {
        const isBusy = error instanceof StoreError && error.code === 'in-use';
        if (!isBusy || performance.now() - start > PATIENCE_MS) throw error;
        await sleep(RETRY_MS);
      }
    }
  } catch (error) {
    await compiler.close();
    throw error;
  }
}

/** @returns when it was asked */
async function askToLeave(control: string): Promise<number> {
  const client = new HostClient({ path: control, client: 'holdfast run --takeover', mustBeThere: true });
  try {
    await client.connect();
    const start = performance.now();
    await client.call('gateway.leave', {});
    return start;
  } catch (error) {
    const why = error instanceof RequestError ? error.message : `no gateway answers at ${control}`;
    throw new Failure(`there is nothing to take over: ${why}`);
  } finally {
    client.close();
  }
}
