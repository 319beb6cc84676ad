import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../host/api.ts';
import type { HostClient } from '../host/client.ts';
import { addressText } from '../host/connect.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT } from './failure.ts';
import { TopScreen } from './top-screen.ts';
import { type Sample, topLines, topRates } from './top-text.ts';
import { failureOf, gatewayAddress, withHost } from './with-host.ts';

const NS_PER_MS = 1e6;
/** How long an answer may take before that is what is shown. */
const PATIENCE_MS = 2000;

/** @param times null: until it is ended */
export function top(options: ControlOptions, times: number | null, intervalNs: number): Promise<number> {
  const path = addressText(gatewayAddress(options));
  return withHost(options, async (host) => {
    // Whoever is not there from the beginning is no gateway that went away.
    await host.connect();
    if (options.json !== true && process.stdout.isTTY === true) return onTerminal(host, path, times, intervalNs);
    let before: Sample | null = null;
    for (let i = 1; ; i++) {
      const now = await look(host, path, before);
      if (options.json === true) {
        const { status, trouble } = now;
        const line = trouble === null ? { ...status, rates: topRates(now, before) } : { trouble };
        process.stdout.write(`${JSON.stringify(line)}\n`);
      } else {
        const lines = topLines(now, before, path);
        process.stdout.write(`${i > 1 ? '\n' : ''}${lines.map(({ text }) => text).join('\n')}\n`);
      }
      if (now.trouble === null) before = now;
      if (i === times) return EXIT.ok;
      await sleep(intervalNs / NS_PER_MS);
    }
  });
}

async function onTerminal(host: HostClient, path: string, times: number | null, intervalNs: number): Promise<number> {
  const screen = new TopScreen();
  try {
    let before: Sample | null = null;
    for (let i = 1; !screen.isOver; i++) {
      if (!screen.isPaused) {
        const now = await look(host, path, before);
        screen.show(topLines(now, before, path));
        if (now.trouble === null) before = now;
      }
      if (i === times) break;
      await screen.wait(intervalNs / NS_PER_MS);
    }
  } finally {
    screen.close();
  }
  return EXIT.ok;
}

const NOTHING: Status = { generation: 0, vms: [], ports: [], reasons: {} };

/** @returns how things are; without an answer as they were, and why */
async function look(host: HostClient, path: string, before: Sample | null): Promise<Sample> {
  try {
    const status = await host.call('status', {}, PATIENCE_MS);
    return { status, atMs: performance.now(), trouble: null };
  } catch (error) {
    const failure = failureOf(error, path, false);
    if (failure === error || !(failure instanceof Error)) throw error;
    return { status: before?.status ?? NOTHING, atMs: performance.now(), trouble: 'the gateway does not answer' };
  }
}
