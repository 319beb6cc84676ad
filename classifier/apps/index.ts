import type { AppName } from '../../rules/rule.ts';
import type { Recogniser } from './recogniser.ts';
import { recogniseRtp } from './rtp.ts';
import { recogniseSip } from './sip.ts';

/** Every application that a rule can name, and who recognises it. */
export const RECOGNISERS: Readonly<Record<AppName, Recogniser>> = { sip: recogniseSip, rtp: recogniseRtp };
