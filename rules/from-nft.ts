import { formatRules } from './format.ts';
import { chainName, chooseChain, NftImportError } from './nft-chain.ts';
import { differencesOf, familyMatch, otherMeaning, portsDiffer } from './nft-meaning.ts';
import { mayChange, type NftChain, type NftRuleset, type NftStatement, readNft, sourceOf } from './nft-read.ts';
import { type NftBranch, type NftVerdict, NotOurs, ONLY_TABLES, possibleVerdicts, readRule } from './nft-rule.ts';
import { type ImportedSet, importSets } from './nft-sets.ts';
import { parseRules } from './parse.ts';
import type { Rule } from './rule.ts';

/** What of an nft ruleset has no equal here, and why. */
export interface NotTaken {
  /** In the nft text, from 1. */
  readonly line: number;
  readonly text: string;
  readonly reason: string;
}

export interface ImportedRule {
  /** Of the nft rule that it comes from. One nft rule may become several. */
  readonly line: number;
  /** As it stands in the result, but for blanks. */
  readonly text: string;
}

export interface ImportedRules {
  /** A rule file without errors. */
  readonly text: string;
  /** As in `inet filter forward`. */
  readonly chain: string;
  /** In their order, without those that the chain's policy became. */
  readonly rules: readonly ImportedRule[];
  /** How many nft rules were taken. */
  readonly taken: number;
  readonly notTaken: readonly NotTaken[];
}

const ACCEPTED = 'accepted';
/** By what the rule says itself. */
const UNSURE: Readonly<Record<NftVerdict, string>> = { accept: 'unsure-accepted', drop: 'unsure-dropped' };
const HEAD = `# Made from an nft ruleset. What nft accepts is class '${ACCEPTED}', which waits for its checkpoint: that a frame may leave
# says nothing of whether it may leave early. Give the rules whose frames promise nothing a class that passes.
#
# Tags, fragments, extension headers and frames that cannot be read are judged as rules/README.md says, not as nft does.
`;
const UNSURE_HEAD = `#
# Classes '${UNSURE.accept}' and '${UNSURE.drop}' are what a rule accepts or drops unless a rule above it decides otherwise that
# was not taken, because Holdfast does not see what it asks for. So they are held.
`;
/** Verdict maps and jumps multiply. */
const MAX_RULES = 50_000;
/**
 * Turns one chain of an nft ruleset (the text that `nft list ruleset` prints) into the outbound block of a rule file, with the
 * chains that it jumps to and the sets that it uses. A rule is taken if all its matches are ours with the same meaning. What becomes of
 * a frame is what nft would do, or an unsure class, which holds, where that depends on a rule that was not taken.
 * @param chain `output`, `filter output` or `inet filter output`; null: the one that the VM's frames go through
 * @throws NftImportError
 */
export function fromNft(text: string, chain: string | null = null): ImportedRules {
  if (text.trimStart().startsWith('{')) throw new NftImportError("this is nft's JSON: 'nft list ruleset' without -j");
  const ruleset = readNft(text);
  const chosen = chooseChain(ruleset, chain);
  const importer = new Importer(chosen, definitionsOf(ruleset));
  importer.run(ruleset);
  return importer.result(ruleset);
}

/** Those that our language reads, in one piece; '' where a name changes its meaning on the way. */
function definitionsOf({ defines, commands }: NftRuleset): string {
  const changes = commands.some(({ tokens }) => ['redefine', 'undefine', 'include'].includes(tokens[0]!.text));
  if (changes || defines.length === 0) return '';
  const kept: string[] = [];
  for (const { tokens } of defines) {
    const line = `${sourceOf(tokens)}\n`;
    const { errors } = parseRules(`${kept.join('')}${line}outbound {\ndefault hold\n}\n`, 'imported');
    if (errors.length === 0) kept.push(line);
  }
  return kept.join('');
}

/** How frames may have ended in rules above that were not taken. */
interface Holes {
  /** For all that follows. */
  readonly always: Set<NftVerdict>;
  /** Up to the end of the chain that is jumped to. */
  readonly inChain: Set<NftVerdict>;
}

class Importer {
  readonly #base: NftChain;
  readonly #prelude: string;
  readonly #sets: ReadonlyMap<string, ImportedSet>;
  readonly #lines: string[] = [];
  readonly #rules: ImportedRule[] = [];
  readonly #takenLines = new Set<number>();
  readonly #notTaken: NotTaken[] = [];
  readonly #usedSets = new Set<string>();

  /** @param prelude definitions */
  constructor(base: NftChain, prelude: string) {
    this.#base = base;
    this.#prelude = prelude;
    const { sets, notTaken } = importSets(base.table, prelude);
    this.#sets = sets;
    for (const { statement, reason } of notTaken) this.#refuse(statement, reason);
  }

  run({ commands }: NftRuleset): void {
    const holes: Holes = { always: new Set(), inChain: new Set() };
    if (commands.some((command) => mayChange(command, this.#base.table))) holes.always.add('accept').add('drop');
    const { type, policy } = this.#base;
    this.#chain(this.#base, '', holes, [this.#base.name]);
    if (type === null) return;
    this.#lines.push(`# policy ${policy}`);
    this.#emit('', policy, null, holes, null);
  }

  result(ruleset: NftRuleset): ImportedRules {
    this.#refuseOthers(ruleset);
    const body = this.#lines.map((line) => `${line}\n`).join('');
    const uses = (name: string) => body.includes(`class ${name}`);
    const classes = [ACCEPTED, UNSURE.accept, UNSURE.drop].filter(uses).map((name) => `class ${name} hold\n`);
    const sets = [...this.#usedSets].map((name) => this.#sets.get(name)!.text);
    const head = uses('unsure-') ? `${HEAD}${UNSURE_HEAD}` : HEAD;
    const parts = [head, classes.join(''), this.#prelude, sets.join(''), `outbound {\n${body}default hold\n}\n`];
    const text = formatRules(parts.filter((part) => part !== '').join('\n'));
    const notTaken = [...this.#notTaken].sort((a, b) => a.line - b.line);
    return { text, chain: chainName(this.#base), rules: this.#rules, taken: this.#takenLines.size, notTaken };
  }

  /** @param prefix matches that led here @param path the chains that led here, this one included */
  #chain(chain: NftChain, prefix: string, holes: Holes, path: readonly string[]): void {
    this.#lines.push(`# chain ${chain.name}${prefix === '' ? '' : `: ${prefix}`}`);
    for (const statement of chain.rules) {
      const rule = readRule(statement, chain.table);
      const refused = rule instanceof NotOurs ? rule.reason : this.#problemOf(rule.branches, prefix, path);
      if (refused !== null) {
        this.#refuse(statement, refused);
        this.#lines.push(`# not taken: ${sourceOf(statement.tokens)}`);
        this.#leaveHole(statement, chain, holes);
        continue;
      }
      const { branches, comment } = rule as Exclude<typeof rule, NotOurs>;
      if (branches.every(({ outcome }) => outcome.kind === 'none')) {
        this.#lines.push(`# decides nothing: ${sourceOf(statement.tokens)}`);
        continue;
      }
      this.#takenLines.add(statement.line);
      for (const branch of branches) this.#branch(branch, prefix, comment, holes, path, statement);
      // Nothing below it is ever asked.
      if (branches.some(({ matches, outcome }) => matches === '' && outcome.kind === 'return')) return;
    }
  }

  #leaveHole({ tokens }: NftStatement, { table }: NftChain, { always, inChain }: Holes): void {
    for (const verdict of possibleVerdicts(tokens, table)) always.add(verdict);
    if (tokens.some(({ text }) => text === 'return')) inChain.add('accept').add('drop');
  }

  #branch(
    { matches, outcome }: NftBranch,
    prefix: string,
    comment: string | null,
    holes: Holes,
    path: readonly string[],
    { line }: NftStatement,
  ): void {
    const all = joined(prefix, matches);
    switch (outcome.kind) {
      case 'accept':
      case 'drop':
        this.#emit(all, outcome.kind, comment, holes, line);
        return;
      case 'none':
        return;
      case 'return':
        // Taken only in the base chain, or where nothing selects: see #problemOf.
        if (path.length === 1) this.#emit(all, this.#base.policy, comment, holes, line);
        return;
      case 'jump':
      case 'goto': {
        const chain = this.#base.table.chains.get(outcome.chain)!;
        const inner = { always: holes.always, inChain: new Set(holes.inChain) };
        this.#chain(chain, all, inner, [...path, chain.name]);
        if (outcome.kind === 'goto') this.#emit(all, this.#base.policy, null, holes, line);
        else this.#lines.push(`# chain ${path.at(-1)}, again`);
      }
    }
  }

  /** @param line of the nft rule; null for the policy */
  #emit(matches: string, verdict: NftVerdict, comment: string | null, holes: Holes, line: number | null): void {
    const possible = new Set([verdict, ...holes.always, ...holes.inChain]);
    const outcome = possible.size > 1 ? `class ${UNSURE[verdict]}` : verdict === 'drop' ? 'drop' : `class ${ACCEPTED}`;
    const selected = this.#exactPorts(this.#selecting(matches));
    for (const [, name] of selected.matchAll(/@([A-Za-z_][\w.-]*)(?!,)/g))
      if (this.#sets.has(name!)) this.#usedSets.add(name!);
    const text = `${selected} ${outcome}${comment === null ? '' : ` comment "${comment}"`}`;
    this.#lines.push(...this.#notes(selected), text);
    if (line !== null) this.#rules.push({ line, text });
  }

  /** With a match on the table's family where the others leave it open. */
  #selecting(matches: string): string {
    const family = familyMatch(this.#base.table.family, matches === '' ? null : this.#parsed(matches));
    return joined(family ?? '', matches) || 'frame length >= 0';
  }

  /** nft's `th sport` is the first 16 bits of any transport header; ours is a port. */
  #exactPorts(matches: string): string {
    if (!/\bth [sd]port\b/.test(matches) || !portsDiffer(this.#parsed(matches)!)) return matches;
    const raw = matches.replace(/\bth sport\b/g, '@th,0,16').replace(/\bth dport\b/g, '@th,16,16');
    return this.#parsed(raw) === null ? matches : raw;
  }

  #parsed(matches: string): Rule | null {
    return this.#parse(matches).ruleSet?.outbound[0] ?? null;
  }

  #parse(matches: string) {
    const heads = [...this.#sets].filter(([name]) => matches.includes(`@${name}`)).map(([, { head }]) => head);
    return parseRules(`${this.#prelude}${heads.join('')}outbound {\n${matches} hold\n}\n`, 'imported');
  }

  /** @returns why these branches cannot be taken, null if they can */
  #problemOf(branches: readonly NftBranch[], prefix: string, path: readonly string[]): string | null {
    if (this.#rules.length > MAX_RULES) return `more than ${MAX_RULES} rules come of it`;
    for (const { matches, outcome } of branches) {
      const all = joined(prefix, matches);
      if (all !== '') {
        const { ruleSet, errors } = this.#parse(all);
        if (ruleSet === null) return errors[0]!.message;
        const different = ruleSet.outbound[0]!.matches.map(otherMeaning).find((reason) => reason !== null);
        if (different !== undefined) return different;
      }
      if (outcome.kind === 'return' && path.length > 1 && matches !== '')
        return "'return' to another chain has no equal here";
      if (outcome.kind === 'goto' && path.length > 1) return "'goto' from a chain that is jumped to has no equal here";
      if (outcome.kind === 'jump' || outcome.kind === 'goto') {
        if (path.includes(outcome.chain)) return `chain '${outcome.chain}' leads to itself`;
        if (!this.#base.table.chains.has(outcome.chain)) return `there is no chain '${outcome.chain}'`;
      }
    }
    return null;
  }

  /** What a reader of the rule should know. */
  #notes(matches: string): string[] {
    const rule = this.#parsed(matches);
    const dynamic = [...this.#sets].filter(([name, { isDynamic }]) => isDynamic && matches.includes(`@${name}`));
    return [
      ...(rule === null ? [] : differencesOf(rule)).map((difference) => `# other than in nft: ${difference}`),
      ...dynamic.map(([name]) => `# elements of '${name}' come and go over the host interface, not by nft's rules`),
    ];
  }

  #refuse({ line, tokens }: NftStatement, reason: string): void {
    // A chain may be jumped to from several places.
    if (this.#notTaken.some((one) => one.line === line && one.reason === reason)) return;
    this.#notTaken.push({ line, text: shortened(sourceOf(tokens)), reason });
  }

  /** What is not part of the chain that was chosen, and what a ruleset has outside of tables. */
  #refuseOthers({ tables, commands }: NftRuleset): void {
    for (const statement of commands) this.#refuse(statement, ONLY_TABLES);
    for (const { chains, isDormant } of tables) {
      for (const chain of chains.values()) {
        if (chain === this.#base || chain.type === null || chain.rules.length === 0 || isDormant) continue;
        const count = `${chain.rules.length} rule${chain.rules.length === 1 ? '' : 's'}`;
        const reason = `only one chain becomes the outbound block; this one has ${count}`;
        this.#notTaken.push({ line: chain.line, text: `chain ${chainName(chain)}`, reason });
      }
    }
  }
}

function joined(a: string, b: string): string {
  return a === '' || b === '' ? a + b : `${a} ${b}`;
}

const SHOWN = 200;

function shortened(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN - 1)}…` : text;
}
