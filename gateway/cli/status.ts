import { setTimeout as sleep } from 'node:timers/promises';
import type { Status } from '../host/api.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT, Failure } from './failure.ts';
import { styles } from './output.ts';
import { statusLines } from './status-text.ts';
import { withHost } from './with-host.ts';

const NS_PER_MS = 1e6;
const CLEAR = '\u001b[H\u001b[J';

/** @param times null: until it is interrupted */
export function status(options: ControlOptions, times: number | null, intervalNs: number): Promise<number> {
  const isTerminal = process.stdout.isTTY === true;
  const clears = isTerminal && times !== 1 && options.json !== true;
  return withHost(options, async (host) => {
    for (let i = 1; ; i++) {
      const text =
        options.json === true ? JSON.stringify(await host.call('status', {})) : textOf(await host.call('status', {}));
      const gap = i > 1 && options.json !== true && !clears ? '\n' : '';
      process.stdout.write(`${clears ? CLEAR : gap}${text}\n`);
      if (i === times) return EXIT.ok;
      await sleep(intervalNs / NS_PER_MS);
    }
  });
}

function textOf(now: Status): string {
  return statusLines(now, styles(process.stdout.isTTY === true)).join('\n');
}

export function metrics(options: ControlOptions): Promise<number> {
  return withHost(options, async (host) => {
    const answer = await host.call('metrics', {});
    if (options.json === true) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else if (answer.text === null) throw new Failure('this gateway makes no metrics', EXIT.no);
    else process.stdout.write(answer.text.endsWith('\n') ? answer.text : `${answer.text}\n`);
    return EXIT.ok;
  });
}
