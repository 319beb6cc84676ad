import { RequestError } from '../host/protocol.ts';
import { LinkError, StandbyLink } from '../protect/standby-link.ts';
import { EXIT, Failure } from './failure.ts';
import { standbyAddress, type TlsOptions } from './tls-options.ts';

const CONNECT_MS = 5000;

export interface AskOptions extends TlsOptions {
  /** Seconds, for the answer. */
  readonly timeout: number;
  readonly json?: boolean;
}

/** `holdfast standby status`, `failover` and `forget`. @returns the exit code */
export async function askStandby(
  method: 'status' | 'failover' | 'forget',
  where: string,
  options: AskOptions,
): Promise<number> {
  const address = await standbyAddress('standby', where, options);
  let link: StandbyLink | null = null;
  try {
    link = await StandbyLink.connect(address, CONNECT_MS);
    const answer = await link.call(method, {}, options.timeout * 1000);
    process.stdout.write(options.json === true ? `${JSON.stringify(answer)}\n` : linesOf(answer));
    return EXIT.ok;
  } catch (error) {
    if (error instanceof RequestError) throw new Failure(`${error.code}: ${error.message}`, EXIT.no);
    if (error instanceof LinkError) throw new Failure(error.message);
    throw error;
  } finally {
    link?.close();
  }
}

function linesOf(answer: object): string {
  return Object.entries(answer)
    .map(([name, value]) => `${name.padEnd(16)} ${typeof value === 'object' ? JSON.stringify(value) : value}\n`)
    .join('');
}
