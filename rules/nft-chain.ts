import type { NftChain, NftRuleset, NftTable } from './nft-read.ts';
import { closest } from './suggest.ts';

/** There is nothing to import, or it is not clear what; the message says so. */
export class NftImportError extends Error {
  readonly code = 'nft-unclear';
}

/**
 * Which chain is taken where the user names none: the hook that the VM's frames go through. Never `input`, which judges what
 * arrives: as an outbound block it would mean something else.
 */
const HOOKS: readonly string[] = ['output', 'forward', 'egress', 'ingress', 'postrouting', 'prerouting'];

/** As in `inet filter forward`. */
export function chainName({ table, name }: NftChain): string {
  return `${table.family} ${table.name} ${name}`;
}

/**
 * @param wanted the end of its name; null: the one that the VM's frames go through
 * @throws NftImportError
 */
export function chooseChain({ tables }: NftRuleset, wanted: string | null): NftChain {
  const chains = tables.flatMap((table) => [...table.chains.values()]);
  if (chains.length === 0) throw new NftImportError("there is no chain in it: expected what 'nft list ruleset' prints");
  if (wanted !== null) return namedChain(chains, wanted.trim().split(/\s+/).join(' '));
  const based = filtersWithRules(tables);
  const first = HOOKS.map((hook) => based.find(({ type }) => type!.hook === hook)).find((one) => one !== undefined);
  const filters = chains.filter(({ type }) => type?.type === 'filter');
  const found = first ?? filters.find(({ type }) => HOOKS.includes(type!.hook));
  if (found !== undefined) return found;
  if (filters.length === 0) throw new NftImportError("no chain of type filter has rules: name one with '--chain'");
  const other = filters.find(({ rules }) => rules.length > 0) ?? filters[0]!;
  const anyway = `to take it all the same, say --chain '${chainName(other)}'`;
  throw new NftImportError(
    `chain '${chainName(other)}' is hooked at '${other.type!.hook}', where no frame of the VM leaves: ${anyway}`,
  );
}

function filtersWithRules(tables: readonly NftTable[]): NftChain[] {
  return tables
    .filter(({ isDormant }) => !isDormant)
    .flatMap(({ chains }) => [...chains.values()])
    .filter(({ type, rules }) => type?.type === 'filter' && rules.length > 0);
}

function namedChain(chains: readonly NftChain[], wanted: string): NftChain {
  const list = (some: readonly NftChain[]) => some.map((one) => `'${chainName(one)}'`).join(', ');
  const named = chains.filter((one) => ` ${chainName(one)}`.endsWith(` ${wanted}`));
  if (named.length === 1) return named[0]!;
  if (named.length > 1) throw new NftImportError(`several chains are called '${wanted}': ${list(named)}`);
  const names = chains.map(({ name }) => name);
  const near = closest(wanted, names);
  const hint = near === null ? `there are ${list(chains)}` : `did you mean '${near}'?`;
  throw new NftImportError(`there is no chain '${wanted}': ${hint}`);
}
