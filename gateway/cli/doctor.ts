import { release } from 'node:os';
import { ownCapabilities } from '../capabilities.ts';
import { isNetdevName } from '../port/netdev.ts';
import type { Check, Level } from './doctor-check.ts';
import { deviceChecks, deviceFacts } from './doctor-device.ts';
import { kernelChecks } from './doctor-kernel.ts';
import {
  bridgeCheck,
  clockCheck,
  folderChecks,
  forwardingCheck,
  kernelVersionCheck,
  koffiCheck,
  memlockCheck,
  nodeVersionCheck,
  optionalChecks,
  shmCheck,
  textOf,
  toolChecks,
} from './doctor-machine.ts';
import { EXIT, Failure } from './failure.ts';
import { Output, styles } from './output.ts';

const STYLE = { ok: 'green', warn: 'yellow', fail: 'red' } as const;
const SYSCTL = '/proc/sys/net';
const CLOCK = '/sys/devices/system/clocksource/clocksource0/current_clocksource';

/** Looks whether this machine can run the gateway, on these network devices. @returns the exit code */
export function doctor(devices: readonly string[], json: boolean): number {
  for (const device of devices) {
    if (!isNetdevName(device)) throw new Failure(`'${device}' cannot be the name of a network device`);
  }
  const all = [...machineChecks(devices.length > 0), ...allDeviceChecks(devices)];
  const out = new Output();
  const isOk = all.every(({ level }) => level !== 'fail');
  if (json) out.line(JSON.stringify({ ok: isOk, checks: all }));
  else print(out, all);
  out.flush();
  return isOk ? EXIT.ok : EXIT.no;
}

function machineChecks(wantsPorts: boolean): Check[] {
  const kernel = kernelVersionCheck(process.platform, release());
  const koffi = koffiCheck();
  const isUsable = koffi.level === 'ok';
  const ofKernel = isUsable ? kernelChecks(ownCapabilities(), wantsPorts) : [];
  const drop = ofKernel.find(({ name }) => name === 'ingress-drop');
  const bridge = ['bridge-nf-call-iptables', 'bridge-nf-call-ip6tables', 'bridge-nf-call-arptables'];
  return [
    kernel,
    nodeVersionCheck(process.version),
    koffi,
    ...ofKernel,
    ...(isUsable ? optionalChecks() : []),
    ...toolChecks([...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin']),
    memlockCheck(textOf('/proc/self/limits')),
    ...folderChecks(),
    shmCheck(),
    clockCheck(textOf(CLOCK)),
    forwardingCheck(textOf(`${SYSCTL}/ipv4/ip_forward`), textOf(`${SYSCTL}/ipv6/conf/all/forwarding`), drop),
    bridgeCheck(Object.fromEntries(bridge.map((name) => [name, textOf(`${SYSCTL}/bridge/${name}`)]))),
  ];
}

function allDeviceChecks(devices: readonly string[]): Check[] {
  if (koffiCheck().level !== 'ok') return [];
  const facts = new Map(devices.map((name) => [name, deviceFacts(name)]));
  const mtus = [...facts].flatMap(([name, one]): [string, number][] =>
    one?.netdev.isEthernet ? [[name, one.netdev.mtu]] : [],
  );
  return [...facts].flatMap(([name, one]) => deviceChecks(name, one, new Map(mtus)));
}

function print(out: Output, all: readonly Check[]): void {
  const styled = styles(process.stdout.isTTY === true);
  const width = Math.max(...all.map(({ name }) => name.length));
  let device: string | null = null;
  for (const check of all) {
    if (check.device !== device) {
      device = check.device;
      out.line(styled('bold', `\n${device}`));
    }
    out.line(`${styled(STYLE[check.level], check.level.padEnd(4))}  ${check.name.padEnd(width)}  ${check.found}`);
    if (check.advice !== null) out.line(`${' '.repeat(width + 8)}${styled('dim', `-> ${check.advice}`)}`);
  }
  const count = (level: Level) => all.filter((check) => check.level === level).length;
  const warnings = count('warn');
  out.line(`\n${count('ok')} ok, ${warnings} warning${warnings === 1 ? '' : 's'}, ${count('fail')} failed`);
}
