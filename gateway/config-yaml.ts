import { dirname } from 'node:path';
import { CST, type ErrorCode, Lexer, LineCounter, type Node, parseDocument } from 'yaml';
import { printable } from '../rules/errors.ts';
import { ConfigNode } from './config-node.ts';
import type { ConfigProblems } from './config-problem.ts';

/** A configuration has five levels. YAML's parser calls itself for every level, and the stack ends. */
const MAX_DEPTH = 50;

/** In words of ours, where YAML's own speak of its programming interface. */
const MESSAGES: Partial<Record<ErrorCode, string>> = {
  MULTIPLE_DOCS: 'a second document begins, expected one',
};

/**
 * @param file the name that places carry
 * @returns the file's value, null if it is no YAML; what is wrong is reported
 */
export function readYaml(text: string, file: string, problems: ConfigProblems): ConfigNode | null {
  const lines = new LineCounter();
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col) };
  };
  const deep = tooDeepAt(text);
  if (deep !== null) {
    const before = text.slice(0, deep).split('\n');
    const where = { file, line: before.length, column: before.at(-1)!.length + 1 };
    problems.add('syntax', where, `more than ${MAX_DEPTH} levels or columns deep`);
    return null;
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  let last = 0;
  for (const { code, message, pos } of [...document.errors, ...document.warnings]) {
    const where = place(Math.min(pos[0], text.length));
    // One slip often makes several errors.
    if (where.line === last) continue;
    last = where.line;
    problems.add('syntax', where, MESSAGES[code] ?? printable(message));
  }
  if (last > 0) return null;
  const contents = document.contents as Node | null;
  return new ConfigNode({ file, folder: dirname(file), document, lines, problems }, contents, '', place(0));
}

/** @returns where the text may be nested too deeply, in UTF-16 units from its start; null if it is not */
function tooDeepAt(text: string): number | null {
  let offset = 0;
  let flow = 0;
  let inLine = 0;
  let isLineStart = true;
  let isScalar = false;
  for (const token of new Lexer().lex(text)) {
    const type: CST.TokenType | null = isScalar ? null : CST.tokenType(token);
    if (type === 'newline') {
      inLine = 0;
      isLineStart = true;
    } else if (type === 'space') {
      if (isLineStart) inLine += token.length;
    } else {
      isLineStart = false;
      if (type === 'flow-seq-start' || type === 'flow-map-start') flow++;
      else if (type === 'flow-seq-end' || type === 'flow-map-end') flow = Math.max(0, flow - 1);
      else if (type === 'seq-item-ind' || type === 'explicit-key-ind') inLine++;
    }
    if (flow > MAX_DEPTH || inLine > MAX_DEPTH) return offset;
    isScalar = type === 'scalar';
    if (type !== 'doc-mode' && type !== 'flow-error-end' && type !== 'scalar') offset += token.length;
  }
  return null;
}
