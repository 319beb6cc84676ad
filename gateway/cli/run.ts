import { dirname } from 'node:path';
import { formatRuleError, RulesInvalidError } from '../../rules/errors.ts';
import { CapabilityError, type Confinement, confineProcess } from '../capabilities.ts';
import type { GatewayConfig } from '../config.ts';
import { loadConfig } from '../config-file.ts';
import { configFromFlags, type RunFlags } from '../config-flags.ts';
import { ConfigInvalidError, ConfigUnreadableError } from '../config-problem.ts';
import { StoreError } from '../durable/store-error.ts';
import { Gateway, type GatewayParts } from '../gateway.ts';
import { RuleFileError } from '../live-rules/compile-protocol.ts';
import { isShipped } from '../live-rules/rule-path.ts';
import { openLog } from '../log.ts';
import { PortError } from '../port/port-error.ts';
import type { PortSpec } from '../port/spec.ts';
import { SystemdNotifier } from '../systemd.ts';
import { EXIT, Failure } from './failure.ts';
import { takeOver } from './take-over.ts';

export interface RunOptions {
  /** A YAML configuration, or null: the flags are all there is. */
  readonly file: string | null;
  readonly flags: RunFlags;
  readonly version: string;
  readonly keepCapabilities: boolean;
  /** Go on with the VMs of the gateway that has the control socket now. */
  readonly takeover: boolean;
}

/** Runs the gateway until a signal ends it. @returns the exit code */
export async function run(options: RunOptions): Promise<number> {
  const config = await configOf(options);
  const confinement = options.keepCapabilities ? null : confined(config, options.file);
  const stop = signalled('SIGTERM', 'SIGINT');
  const supervisor = SystemdNotifier.fromEnvironment(process.env);
  const { log, close: closeLog } = await openLog(config.log);
  try {
    for (const { path, capability } of confinement?.exceptions ?? []) {
      log.warn({ path }, `${capability} is kept: the path belongs to another user`);
    }
    const gateway = await opened(config, { version: options.version, log }, options.takeover);
    void gateway.ready.then(() => {
      const vms = [...gateway.vms.keys()].join(',');
      const { metrics } = gateway;
      const where = metrics === null ? '' : ` metrics=http://${metrics.host}:${metrics.port}/metrics`;
      process.stdout.write(`ready ${options.version} vms=${vms} control=${config.control}${where}\n`);
      supervisor?.ready(`forwarding for ${vms}`);
      log.info({}, 'ready: all ports are there');
    });
    const reason = await Promise.race([stop, gateway.left.then(() => 'another process goes on')]);
    supervisor?.stopping();
    log.info({ reason }, 'told to end');
    await gateway.close();
  } finally {
    supervisor?.close();
    closeLog();
  }
  return EXIT.ok;
}

/** Ports' own rights are all that is kept. @throws Failure */
function confined(config: GatewayConfig, file: string | null): Confinement {
  const rules = config.vms.flatMap((vm) => (vm.rules === null || isShipped(vm.rules) ? [] : [vm.rules]));
  try {
    return confineProcess({
      reads: [...(file === null ? [] : [file]), ...rules, ...certificatesOf(config)],
      writes: [...[config.control, ...socketsOf(config)].map((path) => dirname(path)), config.stateDir],
      xdp: config.vms.some(({ pairs }) => pairs.some((pair) => [pair.inside, pair.outside].some(isXdp))),
    });
  } catch (error) {
    if (error instanceof CapabilityError || error instanceof PortError) throw new Failure(error.message);
    throw error;
  }
}

function isXdp({ backend }: PortSpec): boolean {
  return backend === 'xdp';
}

function certificatesOf({ listen }: GatewayConfig): string[] {
  return listen.flatMap((one) => (one.kind === 'tls' ? Object.values(one.files).filter((path) => path !== null) : []));
}

function socketsOf({ listen }: GatewayConfig): string[] {
  return listen.flatMap((one) => (one.kind === 'unix' ? [one.path] : []));
}

/** @throws Failure with every error of the configuration on stderr */
async function configOf({ file, flags }: RunOptions): Promise<GatewayConfig> {
  try {
    return file === null ? configFromFlags(flags) : await loadConfig(file);
  } catch (error) {
    if (error instanceof ConfigUnreadableError) throw new Failure(error.message);
    if (!(error instanceof ConfigInvalidError)) throw error;
    if (error.errors.length === 1) throw new Failure(error.message);
    process.stderr.write(`${error.message}\n`);
    throw new Failure(`${error.errors.length} errors; nothing was started`);
  }
}

/** @throws Failure */
async function opened(config: GatewayConfig, parts: GatewayParts, isTakeover: boolean): Promise<Gateway> {
  try {
    if (!isTakeover) return await Gateway.open(config, parts);
    const { gateway, gapMs } = await takeOver(config, parts);
    parts.log.info({}, `took over: no frame moved for ${Math.round(gapMs)} ms`);
    return gateway;
  } catch (error) {
    if (error instanceof RulesInvalidError) {
      for (const one of error.errors) process.stderr.write(`${formatRuleError(one, error.sources)}\n`);
      const count = error.errors.length;
      throw new Failure(`${count} error${count === 1 ? '' : 's'} in the rules; nothing was started`);
    }
    if (error instanceof RuleFileError || error instanceof PortError || error instanceof StoreError) {
      throw new Failure(error.message);
    }
    // A socket or folder that cannot be.
    if (error instanceof Error && 'code' in error) throw new Failure(error.message);
    throw error;
  }
}

/** The first of these signals. */
function signalled(...signals: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    for (const signal of signals) process.once(signal, resolve);
  });
}
