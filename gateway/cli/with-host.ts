import { defaultControl, NO_CONTROL } from '../config-defaults.ts';
import type { VmSummary } from '../host/api.ts';
import { HostClient, HostClientError } from '../host/client.ts';
import { addressText, type GatewayAddress } from '../host/connect.ts';
import { RequestError, RPC } from '../host/protocol.ts';
import type { ControlOptions } from './control-option.ts';
import { EXIT, Failure } from './failure.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  ECONNREFUSED: 'nobody listens there any more',
  EACCES: 'permission denied',
  ENOTSOCK: 'it is no socket',
  ENOTDIR: 'there is no such folder',
};

/** What a connection ends with that the other side closed at once. */
const HUNG_UP: readonly string[] = ['', 'EPIPE', 'ECONNRESET'];

/** @returns the socket that the options, or the defaults, name. @throws Failure */
export function controlSocket({ control = '' }: ControlOptions): string {
  const path = control === '' ? defaultControl() : control;
  if (path === null) throw new Failure(`name the gateway's control socket with --control: ${NO_CONTROL.hint}`);
  return path;
}

const TLS = /^tls:(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/;
const TLS_FILES = {
  cert: 'HOLDFAST_TLS_CERT',
  key: 'HOLDFAST_TLS_KEY',
  ca: 'HOLDFAST_TLS_CA',
} as const;

/** @returns the gateway that the options, or the defaults, name: a socket, or `tls:HOST:PORT`. @throws Failure */
export function gatewayAddress(
  options: ControlOptions,
  env: Readonly<Record<string, string | undefined>> = process.env,
): GatewayAddress {
  const written = controlSocket(options);
  if (!written.startsWith('tls:')) return { path: written };
  const [, inBrackets, plain, port] = TLS.exec(written) ?? [];
  const host = inBrackets ?? plain;
  if (host === undefined || Number(port) > 65_535) throw new Failure(`--control ${written}: expected tls:HOST:PORT`);
  const file = (which: keyof typeof TLS_FILES) => {
    const path = env[TLS_FILES[which]] ?? '';
    if (path === '') throw new Failure(`--control ${written} needs a PEM file in ${TLS_FILES[which]}`);
    return path;
  };
  return { tls: { host, port: Number(port), cert: file('cert'), key: file('key'), ca: file('ca') } };
}

/**
 * Runs a command against the gateway.
 * @param ask @returns the exit code
 * @throws Failure: exit code 1 where the gateway refused, 2 where it is not there, did not answer, or what was asked makes no sense
 */
export async function withHost(options: ControlOptions, ask: (host: HostClient) => Promise<number>): Promise<number> {
  const address = gatewayAddress(options);
  const host = new HostClient({ ...address, client: 'holdfast command line', mustBeThere: true });
  try {
    return await ask(host);
  } catch (error) {
    throw failureOf(error, addressText(address), options.json === true);
  } finally {
    host.close();
  }
}

/** @returns the one line that a person is told; with `json` a refusal is told on stdout, too */
export function failureOf(error: unknown, path: string, json: boolean): unknown {
  if (error instanceof RequestError) {
    const { code, message, field, errors, rpcCode } = error;
    if (json) process.stdout.write(`${JSON.stringify({ error: { code, message, field, errors } })}\n`);
    return new Failure(`${code}: ${message}`, rpcCode === RPC.invalidParams ? EXIT.usage : EXIT.no);
  }
  if (!(error instanceof HostClientError)) return error;
  if (error.code !== 'unreachable') {
    return new Failure(`${error.code}: ${error.message}; it may have been granted: see 'holdfast status'`);
  }
  const cause = error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : '';
  const why = REASONS[cause] ?? (HUNG_UP.includes(cause) ? 'it hung up: it may serve others only' : cause);
  const advice = "start one with 'holdfast run', or name its socket with --control or HOLDFAST_CONTROL";
  return new Failure(`no gateway answers at ${path} (${why}): ${advice}`);
}

/**
 * @param wanted null: the user named none
 * @returns the VM as it is now; null if the gateway has no VM of that name
 * @throws Failure where none was named and there are several
 */
export async function chosenVm(
  host: HostClient,
  wanted: string | null,
): Promise<{ readonly name: string; readonly now: VmSummary | null }> {
  const { vms } = await host.connect();
  if (wanted !== null) return { name: wanted, now: vms.find(({ vm }) => vm === wanted) ?? null };
  const [only] = vms;
  if (only === undefined) throw new Failure('the gateway has no VM', EXIT.no);
  if (vms.length === 1) return { name: only.vm, now: only };
  throw new Failure(`there are ${vms.length} VMs: name one with --vm: ${vms.map(({ vm }) => vm).join(', ')}`);
}
