/** Runs the benchmarks: `npx tsx test/bench/run.ts [only=NAME]`. A missed target is printed, never an error. */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { appsBench } from './apps.ts';
import { classifyBench, matcherBench } from './classify.ts';
import { Reporter } from './figures.ts';
import { holdBench } from './hold.ts';
import { offlineBench, startupBench } from './offline.ts';
import { parseBench } from './parse.ts';

const BENCHES: Readonly<Record<string, (report: Reporter) => void | Promise<void>>> = {
  parse: parseBench,
  classify: classifyBench,
  matcher: matcherBench,
  apps: appsBench,
  hold: holdBench,
  offline: offlineBench,
  startup: startupBench,
};

const only = process.argv.find((argument) => argument.startsWith('only='))?.slice('only='.length) ?? '';
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
