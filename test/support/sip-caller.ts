import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { VM_GUEST } from './guest.ts';
import type { Netns, Program } from './netns.ts';
import type { Family } from './service-clients.ts';

const SCENARIOS = fileURLToPath(new URL('sipp/', import.meta.url));
/** Where the callers are called themselves; the guest does not. */
const CONTACT_PORT = 5062;
const CALL_PORT = 5064;

/** sipp as a subscriber who registers with the guest's registrar, and as somebody who calls the subscriber there. */
export class SipCaller {
  readonly family: Family;
  readonly #network: Netns;
  readonly #folder: string;
  readonly #local: string;
  #runs = 0;

  /** @param local its address @param folder for sipp's files */
  constructor(network: Netns, family: Family, local: string, folder: string) {
    this.#network = network;
    this.family = family;
    this.#local = local;
    this.#folder = folder;
  }

  /** Registers. @returns the contact that the registrar has bound */
  async register(): Promise<string> {
    return (await this.#start('register', CONTACT_PORT).done())[0]!;
  }

  /** @returns the contact that the registrar knows @throws where it knows none */
  async registered(): Promise<string> {
    return (await this.#start('registered', CONTACT_PORT).done())[0]!;
  }

  /** Begins a call, in which the caller speaks some seconds and then hangs up. */
  call(): SipRun {
    return this.#start('call', CALL_PORT);
  }

  #start(scenario: string, port: number): SipRun {
    const log = `${this.#folder}/sipp-${this.family}-${++this.#runs}`;
    const host = this.family === 'ip4' ? VM_GUEST.ip4 : `[${VM_GUEST.ip6}]`;
    const program = this.#network.start(
      'sipp',
      ...['-sf', `${SCENARIOS}${scenario}.xml`, '-s', 'subscriber', '-i', this.#local, '-p', String(port)],
      // An answer that comes twice, because its request did, is no reason to give up.
      ...['-m', '1', '-nostdin', '-max_retrans', '30', '-default_behaviors', 'all,-abortunexp'],
      ...['-trace_logs', '-log_file', `${log}.log`],
      ...['-trace_err', '-error_file', `${log}.err`, `${host}:${VM_GUEST.sip}`],
    );
    return new SipRun(program, log);
  }
}

/** sipp at work on one scenario. */
export class SipRun {
  readonly #program: Program;
  readonly #log: string;

  constructor(program: Program, log: string) {
    this.#program = program;
    this.#log = log;
  }

  /** What it has logged so far: of a call the method, CSeq and Number of each answer, and when it came, ms. */
  get lines(): string[] {
    return read(`${this.#log}.log`).split('\n').slice(0, -1);
  }

  /** @returns `lines`, once sipp has ended @throws where an answer was another than the scenario says, or did not come */
  async done(): Promise<string[]> {
    await this.#program.done().catch(() => {
      throw new Error(`sipp: ${this.lines.join(', ')}\n${read(`${this.#log}.err`)}`);
    });
    return this.lines;
  }
}

function read(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : '';
}
