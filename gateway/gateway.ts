import { randomUUID } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GatewayConfig, VmConfig } from './config.ts';
import { StateDir } from './durable/state-dir.ts';
import type { VmStore } from './durable/vm-store.ts';
import { healthProblems } from './health.ts';
import type { PortStatus } from './host/api.ts';
import type { GatewayView } from './host/methods.ts';
import { HostServer } from './host/server.ts';
import { InsideRecord } from './inside-record.ts';
import { openListeners } from './listeners.ts';
import { LiveClock } from './live-clock.ts';
import { RuleCompiler } from './live-rules/compiler.ts';
import { LiveRules } from './live-rules/live-rules.ts';
import { LiveVm } from './live-vm.ts';
import type { Log } from './log.ts';
import { LimitedLog } from './log-limit.ts';
import { metricsText } from './metrics.ts';
import { MetricsServer } from './metrics-http.ts';
import { tellNarrow } from './narrow-port.ts';
import type { PortSpec } from './port/spec.ts';
import { ProcessMetrics } from './process-metrics.ts';
import { Standstill } from './standstill.ts';
import type { Vm } from './vm.ts';

const TICK_MS = 1000;

export interface GatewayParts {
  readonly version: string;
  readonly log: Log;
  /** One that has worked already is quicker. */
  readonly compiler?: RuleCompiler;
}

/** What has to be closed, last opened first. */
type Closing = (() => void | Promise<void>)[];

/** A running gateway: its VMs on their links, the host interface, and what watches it. */
export class Gateway {
  readonly vms: ReadonlyMap<string, LiveVm>;
  /** Fulfilled when every link is there, or is waited for as its kind has it. */
  readonly ready: Promise<void>;
  /** Where metrics are served. */
  readonly metrics: { readonly host: string; readonly port: number } | null;
  /** Fulfilled when another process wants to go on with the VMs: this one is to close. */
  readonly left: Promise<void>;
  readonly #closing: Closing;

  /**
   * @throws RulesInvalidError, RuleFileError, PortError, StoreError, or an error of the system where the control socket or the
   *   metrics cannot be; then nothing stays open
   */
  static async open(config: GatewayConfig, parts: GatewayParts): Promise<Gateway> {
    const closing: Closing = [];
    try {
      return await Gateway.#open(config, parts, closing);
    } catch (error) {
      await closeAll(closing);
      throw error;
    }
  }

  static async #open(
    config: GatewayConfig,
    { version, log, compiler: warm }: GatewayParts,
    closing: Closing,
  ): Promise<Gateway> {
    const clock = new LiveClock();
    const limited = new LimitedLog(log, clock);
    const ticker = setInterval(() => limited.tick(), TICK_MS).unref();
    closing.push(() => clearInterval(ticker));
    const standstill = new Standstill(clock);
    closing.push(() => standstill.close());
    const sentNs = () => standstill.sentNs();
    const state = new StateDir(config.stateDir, Date.now);
    closing.push(() => state.close());
    const compiler = warm ?? new RuleCompiler();
    closing.push(() => compiler.close());

    const vms = new Map<string, LiveVm>();
    const rules = new Map<string, LiveRules>();
    let server: HostServer | null = null;
    let becomeReady = () => {};
    const ready = new Promise<void>((resolve) => {
      becomeReady = resolve;
    });
    const lookReady = () => {
      if (vms.size === config.vms.length && [...vms.values()].every((vm) => vm.isReady)) becomeReady();
    };
    const told = new Map<string, string>();
    const onLink = (port: PortStatus) => {
      tellLink(limited, told, port);
      tellNarrow(limited, told, vms.get(port.vm)?.ports() ?? []);
      server?.publish('port', { vm: port.vm, name: port.name, state: port.link });
      lookReady();
    };
    for (const vm of config.vms) {
      const historyPath = join(state.path, `${encodeURIComponent(vm.name)}.rules-history`);
      const live = await LiveRules.open({ vm: vm.name, path: vm.rules ?? 'default', historyPath, compiler, log });
      closing.push(() => live.close());
      rules.set(vm.name, live);
    }
    for (const vm of config.vms) {
      const store = state.openVm(vm.name, vm.buffer);
      const isTaken: ConstructorParameters<typeof LiveVm>[1]['isTaken'] = (spec) =>
        [...vms.values()].some((other) => other.name !== vm.name && other.has(spec));
      const { generation } = rules.get(vm.name)!;
      const record = new InsideRecord(join(state.path, `${encodeURIComponent(vm.name)}.inside`), vm);
      const inside = record.read();
      if (inside !== null) tellMoved(log, vm, inside);
      const beforeMove = (specs: readonly PortSpec[]) => record.write(specs);
      const moved = inside === null ? {} : { inside };
      const live = new LiveVm(vm, { clock, generation, store, sentNs, isTaken, onLink, beforeMove, ...moved });
      closing.push(() => live.close());
      vms.set(vm.name, live);
      rules.get(vm.name)!.attach(live.vm);
      tellRecovered(log, vm, store);
      for (const port of live.ports()) if (port.trouble !== null) tellLink(limited, told, port);
      tellNarrow(limited, told, live.ports());
    }

    const ports = () => [...vms.values()].flatMap((vm) => vm.ports());
    const ofProcess = new ProcessMetrics(clock);
    closing.push(() => ofProcess.close());
    const inner = new Map([...vms].map(([name, { vm }]) => [name, vm]));
    const text = (of?: ReadonlyMap<string, Vm>) => {
      if (of === undefined) return metricsText({ vms: inner, clock, version, ports }, ofProcess);
      const portsOf = () => ports().filter(({ vm }) => of.has(vm));
      return metricsText({ vms: of, clock, version, ports: portsOf }, null);
    };
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
      leave = resolve;
    });
    const view: GatewayView = {
      vms: inner,
      rules,
      clock,
      clockOrigin: clock.origin,
      version,
      bootId: randomUUID(),
      ports,
      metricsText: text,
      leave: () => leave(),
      failover: (name, term, epoch, inside) => {
        const live = vms.get(name)!;
        const moved = live.failover(term, epoch, inside);
        tellNarrow(limited, told, live.ports());
        for (const ip of moved.unannounced) {
          log.warn({ vm: name }, `${ip} cannot be announced: the VM has never said by which MAC address it is reached`);
        }
        return moved;
      },
      onRequest: () => {
        for (const vm of vms.values()) vm.settle();
      },
    };
    server = new HostServer(view);
    mkdirSync(dirname(config.control), { recursive: true, mode: 0o755 });
    const listening = server;
    closing.push(() => listening.close());
    await server.listen(config.control);
    await openListeners(config.listen, { server, clock, wallMs: Date.now, log, closing });
    let metrics: Gateway['metrics'] = null;
    if (config.metrics !== null) {
      const health = () => healthProblems({ vms: inner, clock, ports });
      const web = new MetricsServer({ metrics: () => text(), health });
      closing.push(() => web.close());
      metrics = await web.listen(config.metrics.host, config.metrics.port);
    }
    lookReady();
    return new Gateway(vms, { ready, left, metrics }, closing);
  }

  private constructor(
    vms: ReadonlyMap<string, LiveVm>,
    { ready, left, metrics }: Pick<Gateway, 'ready' | 'left' | 'metrics'>,
    closing: Closing,
  ) {
    this.vms = vms;
    this.ready = ready;
    this.left = left;
    this.metrics = metrics;
    this.#closing = closing;
  }

  ports(): PortStatus[] {
    return [...this.vms.values()].flatMap((vm) => vm.ports());
  }

  /** Gives the links back as they were found. A VM that is replicated waits for its host when a gateway is there again. */
  close(): Promise<void> {
    return closeAll(this.#closing);
  }
}

async function closeAll(closing: Closing): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}

/** @param told the last message of each port, which is not repeated */
function tellLink(
  log: LimitedLog,
  told: Map<string, string>,
  { vm, side, name, backend, link, trouble }: PortStatus,
): void {
  const isWell = link === 'up' && trouble === null;
  const message = isWell ? `the ${side} port is up` : (trouble ?? `the ${side} port's link is ${link}`);
  const key = `${vm} ${name}`;
  if (told.get(key) === message) return;
  told.set(key, message);
  log.write(isWell ? 'info' : 'warn', key, { vm, port: `${backend}:${name}` }, message);
}

/** Says that the configuration is not where the VM is. */
function tellMoved(log: Log, { name: vm }: VmConfig, inside: readonly PortSpec[]): void {
  const where = inside.map(({ backend, arg }) => `${backend}:${arg}`).join(' ');
  const message = `since a failover the VM is behind ${where}, whatever the configuration says: change that when it stays there`;
  log.warn({ vm }, message);
}

/** Says what an earlier process of the gateway has left. */
function tellRecovered(log: Log, { name: vm }: VmConfig, { recovered }: VmStore): void {
  const { term, frames, resentFrames, discardedFrames, lostFrames, setAside } = recovered;
  for (const { file, why } of setAside) log.error({ vm, path: file }, `it is not believed, and kept aside: ${why}`);
  if (term === 0 && frames === 0 && lostFrames === 0) return;
  const found = { vm, term, frames };
  log.info(
    found,
    `an earlier process had the VM: ${frames} frames are held again, up to ${resentFrames} may come twice`,
  );
  if (discardedFrames > 0) log.info({ vm, frames: discardedFrames }, 'frames that a rollback had discarded are gone');
  if (lostFrames === null) log.warn({ vm }, 'nobody knows how many frames were held: they are lost, none was released');
  else if (lostFrames > 0) log.warn({ vm, frames: lostFrames }, 'frames that were held are lost, none was released');
}
