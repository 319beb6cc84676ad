import { isIP } from 'node:net';
import { resolve } from 'node:path';
import { printable, quote } from '../rules/errors.ts';
import type { GatewayConfig } from './config.ts';
import { type ConfigText, either } from './config-node.ts';
import type { ConfigProblems } from './config-problem.ts';
import { isNetdevName } from './port/netdev.ts';
import { PortError } from './port/port-error.ts';
import { type PortSpec, parsePortSpec } from './port/spec.ts';
import { ValueError } from './units.ts';

/** A VM's name is part of file names and of host requests. */
const VM_NAME = /^(?!\.)[A-Za-z0-9._-]{1,64}$/;
/** sun_path is 108 bytes long with the zero that ends it (unix(7)). */
const MAX_SOCKET_PATH = 107;

/** Reads single values, from a file and from options alike. What is wrong is reported; then they return null. */
export class ConfigValues {
  readonly problems: ConfigProblems;

  constructor(problems: ConfigProblems) {
    this.problems = problems;
  }

  choice<const T extends string>({ text, place }: ConfigText, words: readonly T[]): T | null {
    const found = words.find((word) => word === text);
    if (found !== undefined) return found;
    const near = { word: text, among: words };
    this.problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected: either(words), near });
    return null;
  }

  flag({ text, place }: ConfigText): boolean | null {
    if (text === 'true' || text === 'false') return text === 'true';
    const meant = { yes: 'true', on: 'true', no: 'false', off: 'false' }[text.toLowerCase()];
    const hint = meant === undefined ? undefined : `did you mean '${meant}'?`;
    this.problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected: 'true or false', hint });
    return null;
  }

  /** @param parse throws ValueError */
  number({ text, place }: ConfigText, parse: (text: string) => number): number | null {
    try {
      return parse(text);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      const expected = error.message.replace(/^expected /, '');
      this.problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected });
      return null;
    }
  }

  vmName({ text, place }: ConfigText): string | null {
    if (VM_NAME.test(text)) return text;
    this.problems.add('bad-value', place, `a VM cannot be called ${quote(text)}`, {
      expected: "1 to 64 of the characters A-Z a-z 0-9 . _ -, not beginning with '.'",
    });
    return null;
  }

  /** @param folder paths are relative to it; '' leaves them as they are */
  path({ text }: ConfigText, folder: string): string {
    return folder === '' ? text : resolve(folder, text);
  }

  socketPath(value: ConfigText, folder: string): string | null {
    const path = this.path(value, folder);
    return this.#fitsSocket(path, value) ? path : null;
  }

  #fitsSocket(path: string, { place }: ConfigText): boolean {
    const bytes = Buffer.byteLength(path);
    if (bytes <= MAX_SOCKET_PATH) return true;
    const expected = `at most ${MAX_SOCKET_PATH}`;
    this.problems.add('bad-value', place, `the socket's path has ${bytes} bytes`, { expected });
    return false;
  }

  port(value: ConfigText, folder: string): PortSpec | null {
    const { text, place } = value;
    let spec: PortSpec;
    try {
      spec = parsePortSpec(text);
    } catch (error) {
      if (!(error instanceof PortError)) throw error;
      this.problems.add('bad-value', place, printable(error.message));
      return null;
    }
    if (isNetdev(spec)) {
      if (isNetdevName(spec.arg)) return spec;
      this.problems.add('bad-value', place, `a network device cannot be called ${quote(spec.arg)}`, {
        expected: '1 to 15 bytes without spaces, slashes and colons',
      });
      return null;
    }
    if (!spec.arg.startsWith('unix:')) return spec;
    const path = this.path({ text: spec.arg.slice('unix:'.length), place }, folder);
    return this.#fitsSocket(path, value) ? { backend: spec.backend, arg: `unix:${path}` } : null;
  }

  metrics({ text, place }: ConfigText): GatewayConfig['metrics'] {
    const [, name, digits] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
    const port = Number(digits);
    const expected = 'HOST:PORT such as 127.0.0.1:9464 or [::1]:9464';
    if (name === undefined || port > 65_535 || (name.includes(':') && !name.startsWith('['))) {
      this.problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected });
      return null;
    }
    const host = name.replace(/^\[(.*)\]$/, '$1');
    if (isLoopback(host)) return { host, port };
    this.problems.add('bad-value', place, `${quote(name)} is no ${isIP(host) === 0 ? 'IP' : 'loopback'} address`, {
      expected,
      hint: 'metrics tell who talks to the VM and are served without a password: only this machine may read them',
    });
    return null;
  }

  /** Addresses of hosts, each once. */
  addresses(values: readonly ConfigText[]): string[] {
    const seen = new Set<string>();
    for (const { text, place } of values) {
      if (seen.has(text)) this.problems.add('conflict', place, `${text} is in the list already`);
      else if (isUnicast(text)) seen.add(text);
      else {
        this.problems.add('bad-value', place, `${quote(text)} is no address of one host`, {
          expected: 'an IP address such as 192.0.2.1 or 2001:db8::1',
        });
      }
    }
    return [...seen];
  }
}

/** The port is on a network device, which its argument names. */
export function isNetdev({ backend }: PortSpec): boolean {
  return !backend.startsWith('stream');
}

function isLoopback(host: string): boolean {
  return (isIP(host) === 4 && host.startsWith('127.')) || (isIP(host) === 6 && /^(0*:)*:?0*1$/.test(host));
}

function isUnicast(text: string): boolean {
  const version = isIP(text);
  if (version === 4) {
    const first = Number(text.split('.')[0]);
    return first > 0 && first < 224;
  }
  return version === 6 && !text.includes('%') && !/^ff/i.test(text) && !/^[0:]*$/.test(text);
}
