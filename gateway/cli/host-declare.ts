import type { Events, ParamsOf } from '../host/api.ts';
import type { HostClient } from '../host/client.ts';
import { EXIT, Failure } from './failure.ts';

const NS_PER_MS = 1e6;
/** Changes of the term: they end what was declared. */
const ENDS: readonly Events['epoch']['change'][] = ['start', 'takeover', 'rollback', 'failover', 'stop'];

export interface DeclareOptions {
  readonly json?: boolean;
  readonly src?: string;
  readonly dst?: string;
  readonly protocol?: string;
  readonly sport?: number;
  readonly dport?: number;
  readonly vlan?: number;
  readonly class?: string;
  /** Nanoseconds. */
  readonly timeout?: number;
}

/** Declares a flow and stays, as a declaration ends with its client. @returns the exit code: 1 if it ended before its time */
export async function declare(host: HostClient, vm: string, options: DeclareOptions): Promise<number> {
  const timeoutMs = Math.ceil((options.timeout ?? 0) / NS_PER_MS);
  const ended = new Promise<string | null>((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(null));
    host.onReconnect = () => resolve('the connection to the gateway broke');
    setTimeout(() => resolve(null), timeoutMs).unref();
    // A client that listens connects again, and so learns that its connection broke.
    host
      .subscribe(['epoch'], ({ vm: other, change }) => {
        if (other === vm && ENDS.includes(change)) resolve('the term has changed');
      })
      .catch(() => resolve('the gateway is gone'));
  });
  const { handle } = await host.call('flow.declare', {
    vm,
    flow: flowOf(options),
    timeoutMs,
    ...(options.class === undefined ? {} : { class: options.class }),
  });
  const text = `${vm}: flow ${handle} is declared, as long as this command runs`;
  process.stdout.write(`${options.json === true ? JSON.stringify({ vm, handle }) : text}\n`);
  const why = await ended;
  if (why !== null) throw new Failure(`${vm}: flow ${handle} is no longer declared: ${why}`, EXIT.no);
  return EXIT.ok;
}

function flowOf({
  src = '',
  dst = '',
  protocol = '',
  sport,
  dport,
  vlan,
}: DeclareOptions): ParamsOf<'flow.declare'>['flow'] {
  return {
    src,
    dst,
    // The gateway knows the names.
    protocol: (/^\d{1,3}$/.test(protocol) ? Number(protocol) : protocol) as number,
    ...(sport === undefined ? {} : { srcPort: sport }),
    ...(dport === undefined ? {} : { dstPort: dport }),
    ...(vlan === undefined ? {} : { vlanId: vlan }),
  };
}
