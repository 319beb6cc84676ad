import { SHIPPED_SETS } from '../rules/load.ts';
import type { GatewayConfig, PairConfig, VmConfig } from './config.ts';
import { checkLimits, checkOverflow, checkTogether, type VmPlaces } from './config-checks.ts';
import { CONFIG_DEFAULTS, defaultControl, NO_CONTROL, stateBeside } from './config-defaults.ts';
import { LISTEN_KEYS, ListenReader, type NamedTlsFiles } from './config-listen.ts';
import { type ConfigNode, type ConfigText, either } from './config-node.ts';
import type { ConfigPlace, ConfigProblems } from './config-problem.ts';
import { ConfigValues } from './config-values.ts';
import type { TxBufferLimits } from './occupancy.ts';
import { parseBytes, parseCount, parseCountOrNone, parseShare } from './units.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export const LOG_FORMATS = ['auto', 'json', 'pretty'] as const;
export const STORAGES = ['memory', 'file'] as const;
export const PACINGS = ['burst', 'paced'] as const;
export const OVERFLOWS = ['drop', 'backpressure'] as const;

/** The keys of a configuration file, by where they stand. */
export const CONFIG_KEYS = {
  '': ['control', 'listen', 'state', 'metrics', 'log', 'vms'],
  ...LISTEN_KEYS,
  log: ['level', 'format'],
  'vms.NAME': ['replicated', 'inside', 'outside', 'ports', 'rules', 'buffer', 'pacing', 'overflow', 'announce'],
  'vms.NAME.ports': ['inside', 'outside'],
  'vms.NAME.buffer': [
    'storage',
    'frames',
    'bytes',
    'unclassified',
    'behind',
    'seal-reserve-frames',
    'seal-reserve-bytes',
  ],
} as const;

/** A rule file that a configuration names. */
export interface NamedRules {
  readonly vm: string;
  /** For `loadRules`. */
  readonly path: string;
  /** Where it is named. */
  readonly place: ConfigPlace;
}

/**
 * Reads a whole configuration. What is missing or wrong is reported, and something else stands in for it then: `config` is of
 * no use once there were problems.
 */
export function readConfig(
  root: ConfigNode,
  problems: ConfigProblems,
): {
  readonly config: GatewayConfig;
  readonly rules: readonly NamedRules[];
  readonly tlsFiles: readonly NamedTlsFiles[];
} {
  const reader = new ConfigReader(problems);
  return { config: reader.gateway(root), rules: reader.rules, tlsFiles: reader.tlsFiles };
}

class ConfigReader {
  readonly rules: NamedRules[] = [];
  tlsFiles: readonly NamedTlsFiles[] = [];
  readonly #values: ConfigValues;
  readonly #problems: ConfigProblems;

  constructor(problems: ConfigProblems) {
    this.#problems = problems;
    this.#values = new ConfigValues(problems);
  }

  gateway(root: ConfigNode): GatewayConfig {
    const fields = root.fields(CONFIG_KEYS['']);
    const { control, listen, state, metrics, log, vms } = fields ?? {};
    const logKeys = log?.fields(CONFIG_KEYS.log) ?? {};
    const controlPath = this.#control(control, root);
    const statePath = this.#text(state, 'a folder');
    const metricsAt = this.#text(metrics, 'HOST:PORT');
    const read = fields === null ? [] : this.#vms(vms, root);
    const configs = read.map(({ config }) => config);
    checkTogether(
      configs,
      read.map(({ places }) => places),
      controlPath,
      this.#problems,
    );
    const listenReader = new ListenReader(this.#values, new Set(configs.map(({ name }) => name)), controlPath);
    this.tlsFiles = listenReader.tlsFiles;
    return {
      control: controlPath,
      listen: listenReader.read(listen),
      stateDir: statePath === null ? stateBeside(controlPath) : this.#values.path(statePath, root.folder),
      metrics: metricsAt === null ? null : this.#values.metrics(metricsAt),
      log: {
        level: this.#choice(logKeys.level, LOG_LEVELS) ?? CONFIG_DEFAULTS.log.level,
        format: this.#choice(logKeys.format, LOG_FORMATS) ?? CONFIG_DEFAULTS.log.format,
      },
      vms: configs,
    };
  }

  #control(node: ConfigNode | undefined, root: ConfigNode): string {
    const text = this.#text(node, 'a socket path');
    if (text !== null) return this.#values.socketPath(text, root.folder) ?? '';
    const path = defaultControl();
    if (path === null && node === undefined)
      this.#problems.add('missing', root.place, "'control' is missing", NO_CONTROL);
    return path ?? '';
  }

  #vms(node: ConfigNode | undefined, root: ConfigNode): { config: VmConfig; places: VmPlaces }[] {
    const expected = 'a mapping of VM names to their ports';
    if (node === undefined) {
      this.#problems.add('missing', root.place, "'vms' is missing", { expected });
      return [];
    }
    const entries = node.entries(expected);
    if (entries?.size === 0) this.#problems.add('missing', node.place, 'there is no VM', { expected });
    return [...(entries ?? [])].map(([name, { place, value }]) => this.#vm(name, place, value));
  }

  #vm(name: string, place: ConfigPlace, node: ConfigNode): { config: VmConfig; places: VmPlaces } {
    this.#values.vmName({ text: name, place });
    const fields = node.fields(CONFIG_KEYS['vms.NAME']) ?? null;
    const { replicated, inside, outside, ports, rules, buffer, pacing, overflow, announce } = fields ?? {};
    const pairs = fields === null ? [] : this.#pairs(place, inside, outside, ports, node.folder);
    const isReplicated = this.#text(replicated, 'true or false');
    const overflowPolicy = this.#choice(overflow, OVERFLOWS) ?? CONFIG_DEFAULTS.vm.overflow;
    const limits = this.#limits(buffer, overflowPolicy, overflow?.place ?? place);
    const config: VmConfig = {
      name,
      replicated: (isReplicated && this.#values.flag(isReplicated)) ?? CONFIG_DEFAULTS.vm.replicated,
      pairs: pairs.map(({ pair }) => pair),
      rules: this.#rules(name, rules),
      limits: limits.limits,
      buffer: limits.storage,
      pacing: this.#choice(pacing, PACINGS) ?? CONFIG_DEFAULTS.vm.pacing,
      overflow: overflowPolicy,
      announce: this.#announce(announce),
    };
    if (overflow !== undefined) checkOverflow(config, overflow.place, 'overflow:', this.#problems);
    return { config, places: { pairs: pairs.map(({ places }) => places) } };
  }

  #pairs(
    place: ConfigPlace,
    inside: ConfigNode | undefined,
    outside: ConfigNode | undefined,
    ports: ConfigNode | undefined,
    folder: string,
  ): { pair: PairConfig; places: VmPlaces['pairs'][number] }[] {
    if (ports === undefined) return this.#pair(place, inside, outside, folder);
    for (const extra of [inside, outside]) {
      if (extra === undefined) continue;
      const message = `'${extra.name}' stands beside 'ports'`;
      this.#problems.add('conflict', extra.place, message, {
        expected: 'only one of the two',
        hint: "'ports' is a list of pairs",
      });
    }
    const items = ports.items('a list of pairs {inside: PORT, outside: PORT}');
    if (items?.length === 0) this.#problems.add('missing', ports.place, 'there is no pair of ports');
    return (items ?? []).flatMap((item) => {
      const fields = item.fields(CONFIG_KEYS['vms.NAME.ports']);
      return fields === null ? [] : this.#pair(item.place, fields.inside, fields.outside, folder);
    });
  }

  #pair(place: ConfigPlace, inside: ConfigNode | undefined, outside: ConfigNode | undefined, folder: string) {
    const [a, b] = [this.#port(place, 'inside', inside, folder), this.#port(place, 'outside', outside, folder)];
    if (a === null || b === null) return [];
    return [{ pair: { inside: a.spec, outside: b.spec }, places: { inside: a.place, outside: b.place } }];
  }

  #port(place: ConfigPlace, side: 'inside' | 'outside', node: ConfigNode | undefined, folder: string) {
    const expected = 'a network device or BACKEND:ARG';
    if (node === undefined) {
      this.#problems.add('missing', place, `'${side}' is missing`, { expected });
      return null;
    }
    const text = node.text(expected);
    const spec = text && this.#values.port(text, folder);
    return spec === null ? null : { spec, place: node.place };
  }

  #limits(node: ConfigNode | undefined, overflow: VmConfig['overflow'], place: ConfigPlace) {
    const { storage, frames, bytes, unclassified, behind, ...reserve } =
      node?.fields(CONFIG_KEYS['vms.NAME.buffer']) ?? {};
    const before = this.#problems.count;
    const number = (from: ConfigNode | undefined, expected: string, parse: (text: string) => number) => {
      const value = this.#text(from, expected);
      return value && this.#values.number(value, parse);
    };
    const standard = CONFIG_DEFAULTS.vm.limits;
    const limits: TxBufferLimits = {
      limitFrames: number(frames, 'a whole number', parseCount) ?? standard.limitFrames,
      limitBytes: number(bytes, 'bytes', parseBytes) ?? standard.limitBytes,
      unclassifiedShare: number(unclassified, 'a share', parseShare) ?? standard.unclassifiedShare,
      behindShare: number(behind, 'a share', parseShare) ?? standard.behindShare,
      sealReserveFrames:
        number(reserve['seal-reserve-frames'], 'a whole number', parseCountOrNone) ?? standard.sealReserveFrames,
      sealReserveBytes: number(reserve['seal-reserve-bytes'], 'bytes', parseBytes) ?? standard.sealReserveBytes,
    };
    const result = {
      limits,
      storage: this.#choice(storage, STORAGES) ?? CONFIG_DEFAULTS.vm.buffer,
    };
    // What a wrong value was replaced by says nothing.
    if (this.#problems.count > before) return result;
    const at = (one: ConfigNode | undefined) => one?.place ?? node?.place ?? place;
    checkLimits(limits, { frames: at(frames), bytes: at(bytes), behind: at(behind) }, overflow, this.#problems);
    return result;
  }

  #rules(vm: string, node: ConfigNode | undefined): string | null {
    const text = this.#text(node, 'a rule file or a shipped set');
    if (node === undefined || text === null) return null;
    // A shipped set's bare name is no path.
    const isShipped = SHIPPED_SETS.some((name) => name === text.text);
    const path = isShipped ? text.text : this.#values.path(text, node.folder);
    this.rules.push({ vm, path, place: node.place });
    return path;
  }

  #announce(node: ConfigNode | undefined): string[] {
    const items = node?.items('a list of IP addresses') ?? [];
    return this.#values.addresses(items.flatMap((item) => item.text('an IP address') ?? []));
  }

  #choice<const T extends string>(node: ConfigNode | undefined, words: readonly T[]): T | null {
    const text = this.#text(node, either(words));
    return text && this.#values.choice(text, words);
  }

  #text(node: ConfigNode | undefined, expected: string): ConfigText | null {
    return node?.text(expected) ?? null;
  }
}
