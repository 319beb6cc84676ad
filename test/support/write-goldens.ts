/**
 * Writes the golden verdicts of the captures anew: `npx tsx test/support/write-goldens.ts` after `make build`. Read the
 * difference before you commit it: it says what the network would see differently.
 */
import { writeFileSync } from 'node:fs';
import { goldens, goldenText } from './golden.ts';
import { TRACES } from './run-cli.ts';

for (const golden of goldens()) writeFileSync(TRACES + golden.file, await goldenText(golden));
