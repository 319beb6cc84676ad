import { attach } from '../bridge/attach.ts';
import { BridgeError } from '../bridge/bridge-error.ts';
import { DryCommands, SystemCommands } from '../bridge/commands.ts';
import { detach } from '../bridge/detach.ts';
import { Journals } from '../bridge/journal.ts';
import { locked } from '../bridge/lock.ts';
import type { BridgeParts } from '../bridge/parts.ts';
import type { AttachRequest } from '../bridge/survey.ts';
import { EXIT, Failure } from './failure.ts';
import { Output } from './output.ts';

export interface BridgeOptions {
  readonly state: string;
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** @returns the exit code @throws Failure */
export function bridgeAttach(request: AttachRequest, options: BridgeOptions): number {
  return perform(options, (parts) => {
    const { tap, bridge, notes, ...ports } = attach(parts, request);
    const lines = [
      `${tap} is attached to ${bridge} through ${ports.outside}; no frame passes until a gateway runs:`,
      `  holdfast run --inside ${ports.inside} --outside ${ports.outside}`,
      ...notes,
    ];
    return { json: { tap, bridge, ...ports, notes }, lines };
  });
}

/** @returns the exit code @throws Failure */
export function bridgeDetach(tap: string, options: BridgeOptions): number {
  return perform(options, (parts) => {
    const done = detach(parts, tap);
    const where = done.bridge === null ? '' : `, it is in ${done.bridge}`;
    const first = done.changed ? `${tap} is detached${where}` : `${tap} was not attached: nothing to undo`;
    return { json: { ...done }, lines: [first, ...done.notes] };
  });
}

interface Said {
  readonly json: object;
  readonly lines: readonly string[];
}

function perform({ state, dryRun, json }: BridgeOptions, work: (parts: BridgeParts) => Said): number {
  const out = new Output();
  const journals = new Journals(state);
  try {
    if (dryRun) {
      const planned: string[] = [];
      work({ commands: new DryCommands((command) => planned.push(command)), journals });
      if (json) out.line(JSON.stringify({ commands: planned }));
      else for (const command of planned) out.line(command);
    } else {
      const said = locked(journals, () => work({ commands: new SystemCommands(), journals }));
      for (const line of json ? [JSON.stringify(said.json)] : said.lines) out.line(line);
    }
  } catch (error) {
    if (error instanceof BridgeError) throw new Failure(error.message, EXIT.no);
    throw error;
  } finally {
    out.flush();
  }
  return EXIT.ok;
}
