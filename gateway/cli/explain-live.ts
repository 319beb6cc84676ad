import type { Events } from '../host/api.ts';
import { judgementText } from './explain-text.ts';
import { EXIT } from './failure.ts';
import type { LiveOptions } from './rules-live.ts';
import { grouped } from './table.ts';
import { chosenVm, withHost } from './with-host.ts';

export interface ExplainLiveOptions extends LiveOptions {
  /** Frames a second at the most. */
  readonly rate?: number;
  /** End after so many frames. */
  readonly count?: number;
}

/** `holdfast explain --live`: frames as they pass the gateway, and why each got its verdict. @returns the exit code */
export function explainLive(match: string | null, options: ExplainLiveOptions): Promise<number> {
  return withHost(options, async (host) => {
    const { name: vm } = await chosenVm(host, options.vm ?? null);
    const { rate, count = Number.POSITIVE_INFINITY, json } = options;
    let end = (): void => {};
    const ended = new Promise<void>((resolve) => {
      end = resolve;
    });
    let shown = 0;
    await host.subscribe(['trace'], (event) => {
      if (shown === count) return;
      process.stdout.write(`${json === true ? JSON.stringify(event) : lineOf(event)}\n`);
      if (++shown === count) end();
    });
    const params = { vm, ...(match === null ? {} : { match }), ...(rate === undefined ? {} : { perSecond: rate }) };
    await host.call('trace.start', params);
    // After a restart of the gateway it goes on.
    host.onReconnect = () => void host.call('trace.start', params).catch(() => end());
    process.once('SIGINT', end);
    process.once('SIGTERM', end);
    await ended;
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
    return EXIT.ok;
  });
}

function lineOf({
  time,
  direction,
  verdict,
  class: className,
  reason,
  frame,
  rule,
  notLookedAt,
}: Events['trace']): string {
  const text = judgementText({ isOutbound: direction === 'outbound', verdict, className, reason, frame, rule });
  const missed = notLookedAt === 0 ? '' : ` (${grouped(notLookedAt)} frames before it were not looked at)`;
  return `${time} ${text}${missed}`;
}
