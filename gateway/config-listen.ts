import { isIP } from 'node:net';
import { quote } from '../rules/errors.ts';
import type { ClientAccess, ListenConfig } from './config.ts';
import { type ConfigNode, either } from './config-node.ts';
import { type ConfigPlace, type ConfigProblems, placeText } from './config-problem.ts';
import type { ConfigValues } from './config-values.ts';
import { ROLES } from './host/roles.ts';
import type { TlsFiles } from './host/tls-files.ts';

/** The keys of `listen`, by where they stand. */
export const LISTEN_KEYS = {
  listen: ['unix', 'uid', 'role', 'vms', 'failover', 'tls', 'cert', 'key', 'ca', 'crl', 'clients'],
  'listen.clients.NAME': ['role', 'vms', 'failover'],
} as const;

const UNIX_KEYS = ['uid', 'role', 'vms', 'failover'] as const;
const TLS_KEYS = ['cert', 'key', 'ca', 'crl', 'clients'] as const;
const ALL_VMS = '*';
const MAX_UID = 0xffff_fffe;

type Fields = Partial<Record<(typeof LISTEN_KEYS)['listen'][number], ConfigNode>>;
type AccessFields = Pick<Fields, 'role' | 'vms' | 'failover'>;

/** PEM files that a configuration names. */
export interface NamedTlsFiles {
  readonly files: TlsFiles;
  /** Where it is said what they are for. */
  readonly place: ConfigPlace;
}

/** Reads `listen`: where others than the owner reach the gateway, and what they may do. What is wrong is reported. */
export class ListenReader {
  readonly tlsFiles: NamedTlsFiles[] = [];
  readonly #values: ConfigValues;
  readonly #problems: ConfigProblems;
  readonly #vms: ReadonlySet<string>;
  /** Where an address was first used; null: it is the control socket. */
  readonly #taken: Map<string, ConfigPlace | null>;

  constructor(values: ConfigValues, vms: ReadonlySet<string>, control: string) {
    this.#values = values;
    this.#problems = values.problems;
    this.#vms = vms;
    this.#taken = new Map([[control, null]]);
  }

  read(node: ConfigNode | undefined): ListenConfig[] {
    const items = node?.items("a list of {unix: PATH, role: …, vms: …} and {tls: 'HOST:PORT', …}") ?? [];
    return items.flatMap((item) => this.#one(item) ?? []);
  }

  #one(item: ConfigNode): ListenConfig | null {
    const fields = item.fields(LISTEN_KEYS.listen);
    if (fields === null) return null;
    const { unix, tls } = fields;
    if ((unix === undefined) === (tls === undefined)) {
      const code = unix === undefined ? 'missing' : 'conflict';
      const message = unix === undefined ? 'nothing says where' : "'unix' and 'tls' stand side by side";
      this.#problems.add(code, item.place, message, { expected: 'one of unix and tls' });
      return null;
    }
    const kind = unix === undefined ? 'tls' : 'unix';
    for (const key of kind === 'tls' ? UNIX_KEYS : TLS_KEYS) {
      const extra = fields[key];
      if (extra === undefined) continue;
      const hint = kind === 'tls' ? "each of 'clients' has its own" : 'a unix socket has no certificates';
      this.#problems.add('conflict', extra.place, `'${key}' does not go with '${kind}'`, { hint });
    }
    return unix === undefined ? this.#tls(tls!, item, fields) : this.#unix(unix, item, fields);
  }

  #unix(node: ConfigNode, item: ConfigNode, fields: Fields): ListenConfig | null {
    const text = node.text('a socket path');
    const path = text && this.#values.socketPath(text, node.folder);
    const access = this.#access(fields, item.place);
    const uidText = fields.uid?.text('a user id');
    const uid = uidText == null ? null : this.#uid(uidText.text, uidText.place);
    if (path === null || access === null) return null;
    this.#take(path, node.place, `${quote(path)} is`);
    return { kind: 'unix', path, uid, access };
  }

  #tls(node: ConfigNode, item: ConfigNode, fields: Fields): ListenConfig | null {
    const file = (key: 'cert' | 'key' | 'ca') => {
      const value = fields[key];
      if (value === undefined) {
        this.#problems.add('missing', item.place, `'${key}' is missing`, { expected: 'a PEM file' });
        return '';
      }
      return this.#file(value);
    };
    const address = this.#address(node);
    const files = { cert: file('cert'), key: file('key'), ca: file('ca') };
    const crl = fields.crl === undefined ? null : this.#file(fields.crl);
    const clients = this.#clients(fields.clients, item);
    this.tlsFiles.push({ files: { ...files, crl }, place: node.place });
    return address && { kind: 'tls', ...address, files: { ...files, crl }, clients };
  }

  #file(node: ConfigNode): string {
    const text = node.text('a PEM file');
    return text === null ? '' : this.#values.path(text, node.folder);
  }

  #address(node: ConfigNode): { readonly host: string; readonly port: number } | null {
    const expected = 'HOST:PORT such as 0.0.0.0:9443 or [::]:9443';
    const written = node.text(expected);
    if (written === null) return null;
    const { text, place } = written;
    const [, inBrackets, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
    const host = inBrackets ?? plain ?? '';
    const port = Number(digits);
    if (isIP(host) !== (inBrackets === undefined ? 4 : 6) || port > 65_535) {
      this.#problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected });
      return null;
    }
    if (port > 0) this.#take(`tls ${text}`, place, `${quote(text)} is`);
    return { host, port };
  }

  #clients(node: ConfigNode | undefined, item: ConfigNode): Map<string, ClientAccess> {
    const expected = "a mapping of certificates' names to {role: …, vms: …}";
    const clients = new Map<string, ClientAccess>();
    if (node === undefined) this.#problems.add('missing', item.place, "'clients' is missing", { expected });
    for (const [name, { place, value }] of node?.entries(expected) ?? []) {
      const fields = value.fields(LISTEN_KEYS['listen.clients.NAME']);
      const access = fields && this.#access(fields, place);
      if (access !== null) clients.set(name, access);
    }
    return clients;
  }

  #access({ role, vms, failover }: AccessFields, place: ConfigPlace): ClientAccess | null {
    const wantedRole = this.#role(role, place);
    const wantedVms = this.#vmNames(vms, place);
    const ports = (failover?.items('a list of ports') ?? []).flatMap((one) => this.#port(one) ?? []);
    if (wantedRole === null || wantedVms === null) return null;
    if (wantedRole === 'guest' && (wantedVms === ALL_VMS || wantedVms.length !== 1)) {
      const hint = 'an application in a VM has to do with that one only';
      this.#problems.add('conflict', vms!.place, "the role 'guest' is for one VM", { expected: 'one name', hint });
    }
    return { role: wantedRole, vms: wantedVms, failover: ports };
  }

  #role(node: ConfigNode | undefined, place: ConfigPlace): ClientAccess['role'] | null {
    if (node === undefined) {
      this.#problems.add('missing', place, "'role' is missing", { expected: either(ROLES) });
      return null;
    }
    const text = node.text(either(ROLES));
    return text && this.#values.choice(text, ROLES);
  }

  #vmNames(node: ConfigNode | undefined, place: ConfigPlace): ClientAccess['vms'] | null {
    const expected = `a VM's name, a list of names, or "${ALL_VMS}"`;
    if (node === undefined) {
      this.#problems.add('missing', place, "'vms' is missing", { expected });
      return null;
    }
    if (!node.isList) {
      const text = node.text(expected);
      if (text === null) return null;
      return text.text === ALL_VMS ? ALL_VMS : this.#vmName(text.text, node.place);
    }
    const items = node.items(expected)!;
    if (items.length === 0) this.#problems.add('missing', node.place, 'there is no VM', { expected });
    const names = items.flatMap((item) => {
      const text = item.text("a VM's name");
      return text === null ? [] : this.#vmName(text.text, item.place);
    });
    return [...new Set(names)];
  }

  #vmName(name: string, place: ConfigPlace): string[] {
    if (this.#vms.has(name)) return [name];
    const among = [...this.#vms];
    const details = { near: { word: name, among }, ...(among.length > 0 ? { expected: either(among) } : {}) };
    this.#problems.add('bad-value', place, `there is no VM ${quote(name)}`, details);
    return [];
  }

  /** As `vm.failover` must write it. */
  #port(node: ConfigNode): string | null {
    const text = node.text('a port');
    return text && this.#values.port(text, '') && text.text;
  }

  #uid(text: string, place: ConfigPlace): number | null {
    if (/^\d{1,10}$/.test(text) && Number(text) <= MAX_UID) return Number(text);
    const hint = "names are for people: 'id -u NAME' tells the number";
    this.#problems.add('bad-value', place, `unexpected ${quote(text)}`, { expected: 'a user id', hint });
    return null;
  }

  #take(address: string, place: ConfigPlace, what: string): void {
    const before = this.#taken.get(address);
    if (before === undefined) this.#taken.set(address, place);
    else {
      const where = before === null ? 'the control socket' : `in use already: ${placeText(before)}`;
      this.#problems.add('conflict', place, `${what} ${where}`);
    }
  }
}
