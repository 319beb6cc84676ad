/** Runs the benchmarks: `npx tsx test/bench/run.ts [only=NAME] [rounds=N] [protect='--FLAG …']`. A missed target is printed, never an error. */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { appsBench } from './apps.ts';
import { classifyBench, matcherBench } from './classify.ts';
import { diskBench } from './disk.ts';
import { Reporter } from './figures.ts';
import { holdBench } from './hold.ts';
import { liveBench } from './live.ts';
import { offlineBench, startupBench } from './offline.ts';
import { parseBench } from './parse.ts';
import { rulesBench } from './rules.ts';
import { vmBench } from './vm.ts';

/** `rounds=N`: what has a live gateway goes no more rounds than that. */
const rounds = Number(argument('rounds')) || Number.POSITIVE_INFINITY;

/** `protect='--copy delta'`: more flags for the driver of a VM. */
const protect = argument('protect')
  .split(' ')
  .filter((word) => word !== '');

const BENCHES: Readonly<Record<string, (report: Reporter) => void | Promise<void>>> = {
  parse: parseBench,
  classify: classifyBench,
  matcher: matcherBench,
  apps: appsBench,
  hold: holdBench,
  rules: rulesBench,
  disk: diskBench,
  live: (report) => liveBench(report, rounds),
  vm: (report) => vmBench(report, rounds, protect),
  offline: offlineBench,
  startup: startupBench,
};

const only = argument('only');
const chosen = Object.keys(BENCHES).filter((name) => only === '' || name === only);
if (chosen.length === 0) {
  console.error(`bench: '${only}' is none of ${Object.keys(BENCHES).join(', ')}`);
  process.exit(2);
}
const load = loadavg()[0]!;
const cores = availableParallelism();
console.log(`node ${process.version}, ${cores} × ${cpus()[0]?.model ?? 'unknown CPU'}, load ${load.toFixed(1)}`);
if (load > cores / 2) console.log('other programs are running: trust the ratios, and those of CPU time most');
for (const name of chosen) await BENCHES[name]!(new Reporter(name));

/** @returns what follows `name=`, '' without one */
function argument(name: string): string {
  return process.argv.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
}
