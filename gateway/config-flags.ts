import type { GatewayConfig, PairConfig, VmConfig } from './config.ts';
import { checkLimits, checkOverflow, checkTogether, type VmPlaces } from './config-checks.ts';
import { CONFIG_DEFAULTS, defaultControl, NO_CONTROL, stateBeside } from './config-defaults.ts';
import type { ConfigText } from './config-node.ts';
import { ConfigInvalidError, ConfigProblems } from './config-problem.ts';
import { LOG_FORMATS, LOG_LEVELS, OVERFLOWS, PACINGS, STORAGES } from './config-schema.ts';
import { ConfigValues } from './config-values.ts';
import type { TxBufferLimits } from './occupancy.ts';
import { parseBytes, parseCount } from './units.ts';

/** The options of `holdfast run`, as they were written; one VM, called vm0 unless it is named. */
export interface RunFlags {
  readonly name?: string | undefined;
  readonly replicated?: boolean | undefined;
  /** The first one belongs to the first `outside`, and so on. */
  readonly inside?: readonly string[] | undefined;
  readonly outside?: readonly string[] | undefined;
  readonly rules?: string | undefined;
  readonly control?: string | undefined;
  readonly state?: string | undefined;
  readonly metrics?: string | undefined;
  readonly buffer?: string | undefined;
  readonly bufferFrames?: string | undefined;
  readonly bufferBytes?: string | undefined;
  readonly pace?: string | undefined;
  readonly overflow?: string | undefined;
  readonly announce?: readonly string[] | undefined;
  readonly logLevel?: string | undefined;
  readonly logFormat?: string | undefined;
}

const FLAG = {
  name: '--name',
  inside: '--inside',
  outside: '--outside',
  control: '--control',
  metrics: '--metrics',
  buffer: '--buffer',
  bufferFrames: '--buffer-frames',
  bufferBytes: '--buffer-bytes',
  pace: '--pace',
  overflow: '--overflow',
  announce: '--announce',
  logLevel: '--log-level',
  logFormat: '--log-format',
} as const;

/**
 * The configuration of one VM from options. Relative paths stay as they are.
 * @throws ConfigInvalidError with all errors; their places are options
 */
export function configFromFlags(flags: RunFlags): GatewayConfig {
  const problems = new ConfigProblems();
  const values = new ConfigValues(problems);
  function given<T>(flag: keyof typeof FLAG & keyof RunFlags, read: (value: ConfigText) => T | null): T | null {
    const text = flags[flag];
    return typeof text === 'string' ? read({ text, place: { option: FLAG[flag] } }) : null;
  }

  const control = given('control', (value) => values.socketPath(value, '')) ?? defaultControl();
  if (control === null) problems.add('missing', { option: FLAG.control }, 'missing', NO_CONTROL);
  const { pairs, places } = readPairs(flags, values);
  const standard = CONFIG_DEFAULTS.vm;
  const before = problems.count;
  const limits: TxBufferLimits = {
    ...standard.limits,
    ...optional(
      'limitFrames',
      given('bufferFrames', (value) => values.number(value, parseCount)),
    ),
    ...optional(
      'limitBytes',
      given('bufferBytes', (value) => values.number(value, parseBytes)),
    ),
  };
  const overflow = given('overflow', (value) => values.choice(value, OVERFLOWS)) ?? standard.overflow;
  if (problems.count === before) {
    const bytesPlace = { option: FLAG.bufferBytes };
    const at = { frames: { option: FLAG.bufferFrames }, bytes: bytesPlace, behind: bytesPlace };
    checkLimits(limits, at, overflow, problems);
  }
  const vm: VmConfig = {
    name: given('name', (value) => values.vmName(value)) ?? 'vm0',
    replicated: flags.replicated ?? standard.replicated,
    pairs,
    rules: flags.rules ?? null,
    limits,
    buffer: given('buffer', (value) => values.choice(value, STORAGES)) ?? standard.buffer,
    pacing: given('pace', (value) => values.choice(value, PACINGS)) ?? standard.pacing,
    overflow,
    announce: values.addresses((flags.announce ?? []).map((text) => ({ text, place: { option: FLAG.announce } }))),
  };
  checkOverflow(vm, { option: FLAG.overflow }, FLAG.overflow, problems);
  checkTogether([vm], [places], control ?? '', problems);
  const config: GatewayConfig = {
    control: control ?? '',
    listen: [],
    stateDir: flags.state ?? stateBeside(control ?? ''),
    metrics: given('metrics', (value) => values.metrics(value)),
    log: {
      level: given('logLevel', (value) => values.choice(value, LOG_LEVELS)) ?? CONFIG_DEFAULTS.log.level,
      format: given('logFormat', (value) => values.choice(value, LOG_FORMATS)) ?? CONFIG_DEFAULTS.log.format,
    },
    vms: [vm],
  };
  if (problems.count > 0) throw new ConfigInvalidError(problems.errors);
  return config;
}

function readPairs(flags: RunFlags, values: ConfigValues): { pairs: PairConfig[]; places: VmPlaces } {
  const { inside = [], outside = [] } = flags;
  for (const side of ['inside', 'outside'] as const) {
    if ((flags[side] ?? []).length > 0) continue;
    const expected = 'a network device or BACKEND:ARG';
    values.problems.add('missing', { option: FLAG[side] }, 'missing', { expected });
  }
  if (inside.length > 0 && outside.length > 0 && inside.length !== outside.length) {
    const message = `${inside.length} inside and ${outside.length} outside ports`;
    const expected = `as many ${FLAG.outside} as ${FLAG.inside}, pair by pair`;
    values.problems.add('conflict', { option: FLAG.outside }, message, { expected });
  }
  const places = { inside: { option: FLAG.inside }, outside: { option: FLAG.outside } };
  const specs = (side: 'inside' | 'outside') =>
    (flags[side] ?? []).map((text) => values.port({ text, place: places[side] }, ''));
  const outsides = specs('outside');
  const pairs = specs('inside').flatMap((one, i) => {
    const other = outsides[i] ?? null;
    return one === null || other === null ? [] : [{ inside: one, outside: other }];
  });
  return { pairs, places: { pairs: pairs.map(() => places) } };
}

function optional<K extends keyof TxBufferLimits>(key: K, value: number | null): Partial<TxBufferLimits> {
  return value === null ? {} : { [key]: value };
}
