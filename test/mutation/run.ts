import { spawnSync } from 'node:child_process';
import { GROUPS } from './groups.ts';

// `npx tsx test/mutation/run.ts [only=GROUP or FILE]`: fails if a group's score is below the threshold in stryker.config.json.
const only = /^only=(.+)$/.exec(process.argv[2] ?? '')?.[1] ?? '';
let failed = false;
let ran = false;
for (const [name, { mutate }] of Object.entries(GROUPS)) {
  const files = only === '' || only === name ? mutate : mutate.filter((file) => file === only);
  if (files.length === 0) continue;
  ran = true;
  const { status } = spawnSync('npx', ['stryker', 'run', '--mutate', files.join()], {
    stdio: 'inherit',
    env: { ...process.env, HOLDFAST_MUTATION: name },
  });
  if (status !== 0) failed = true;
}
if (!ran) process.stderr.write(`nothing to mutate is called '${only}'\n`);
process.exitCode = failed || !ran ? 1 : 0;
