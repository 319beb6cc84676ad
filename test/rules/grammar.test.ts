import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { beforeAll, describe, expect, test } from 'vitest';
import { createOnigScanner, createOnigString, loadWASM } from 'vscode-oniguruma';
import { type IGrammar, INITIAL, parseRawGrammar, Registry } from 'vscode-textmate';
import { SHIPPED_SETS, shippedRulesPath } from '../../rules/load.ts';
import { APPS, FIELDS, SET_TYPES } from '../../rules/rule.ts';

const FILE = new URL('../../rules/editor/holdfast.tmLanguage.json', import.meta.url).pathname;
let grammar: IGrammar;

beforeAll(async () => {
  const wasm = readFileSync(createRequire(import.meta.url).resolve('vscode-oniguruma/release/onig.wasm'));
  await loadWASM(wasm);
  const registry = new Registry({
    onigLib: Promise.resolve({ createOnigScanner, createOnigString }),
    loadGrammar: async () => parseRawGrammar(readFileSync(FILE, 'utf8'), FILE),
  });
  grammar = (await registry.loadGrammar('source.holdfast-rules'))!;
});

/** Each stretch of the text that has a scope of its own beside the language's, with its innermost scope. */
function scopes(text: string): [string, string][] {
  const found: [string, string][] = [];
  let state = INITIAL;
  for (const line of text.split('\n')) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
    state = ruleStack;
    for (const { startIndex, endIndex, scopes: names } of tokens) {
      const piece = line.slice(startIndex, endIndex).trim();
      if (piece !== '' && names.length > 1) found.push([piece, names.at(-1)!.replace('.holdfast-rules', '')]);
    }
  }
  return found;
}

describe('the grammar for editors', () => {
  test('tells classes, verdicts, fields, sets, defines and comments apart', () => {
    expect(scopes('class control hold  # waits')).toEqual([
      ['class', 'storage.type.class'],
      ['control', 'entity.name.type.class'],
      ['hold', 'constant.language.verdict'],
      ['# waits', 'comment.line.number-sign'],
    ]);
    expect(scopes('  ip saddr . udp sport @rtp class data guard comment "a feed"')).toEqual([
      ['ip', 'entity.name.tag.protocol'],
      ['saddr', 'entity.other.attribute-name.field'],
      ['.', 'keyword.operator'],
      ['udp', 'entity.name.tag.protocol'],
      ['sport', 'entity.other.attribute-name.field'],
      ['@rtp', 'variable.other'],
      ['class', 'storage.type.class'],
      ['data', 'entity.name.type.class'],
      ['guard', 'storage.modifier'],
      ['comment', 'keyword.other.comment'],
      ['"a feed"', 'string.quoted.double'],
    ]);
    expect(scopes('  @th,64,32 0x5349502f hold').map(([, scope]) => scope)).toEqual([
      'keyword.operator.raw',
      'support.function.raw',
      'constant.numeric',
      'constant.numeric',
      'constant.numeric.hex',
      'constant.language.verdict',
    ]);
    expect(scopes('# @holds app sip')).toContainEqual(['@holds', 'keyword.other.claim']);
    expect(scopes('define NET = 2001:db8::/32')).toEqual([
      ['define', 'keyword.control.define'],
      ['NET', 'variable.other.constant'],
      ['=', 'keyword.operator'],
      ['2001:db8::', 'constant.numeric.address'],
      ['/', 'keyword.operator'],
      ['32', 'constant.numeric'],
    ]);
  });

  test('leaves a set at its closing brace, over lines and nested braces', () => {
    const text = 'set s {\n type inet_service; flags interval\n elements = { 1-5,\n 7 }\n}\noutbound {';
    const found = scopes(text);
    expect(found).toContainEqual(['inet_service', 'support.type']);
    expect(found).toContainEqual(['interval', 'storage.modifier']);
    expect(found.at(-1)).toEqual(['outbound', 'keyword.control.block']);
  });

  test('knows every field, application and set type of the language', () => {
    for (const field of Object.keys(FIELDS)) {
      const [protocol, part] = field.split('.') as [string, string];
      expect(scopes(`${protocol} ${part} 5 hold`).slice(0, 2)).toEqual([
        [protocol, 'entity.name.tag.protocol'],
        [part, 'entity.other.attribute-name.field'],
      ]);
    }
    for (const app of APPS) expect(scopes(`app ${app} hold`)).toContainEqual([app, 'support.constant.app']);
    for (const type of SET_TYPES) expect(scopes(`set s { type ${type}; }`)).toContainEqual([type, 'support.type']);
  });

  test('gives every word of the shipped sets a scope', () => {
    for (const name of SHIPPED_SETS) {
      const text = readFileSync(shippedRulesPath(name), 'utf8');
      let state = INITIAL;
      for (const line of text.split('\n')) {
        const { tokens, ruleStack } = grammar.tokenizeLine(line, state);
        state = ruleStack;
        const bare = tokens.filter(({ scopes: names }) => names.length === 1);
        for (const { startIndex, endIndex } of bare) expect(line.slice(startIndex, endIndex)).toMatch(/^[\s{},;()]*$/);
      }
    }
  });
});
