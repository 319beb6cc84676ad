import { describe, expect, test } from 'vitest';
import { statementAt, withoutStatement, withStatement } from '../../rules/statement.ts';

function textOf(text: string, line: number, column: number): string | null {
  const span = statementAt(text, line, column);
  return span === null ? null : text.slice(span.start, span.end);
}

describe('a statement', () => {
  test('ends with its line, before the comment', () => {
    expect(textOf('outbound {\n  tcp dport 80 hold  # web\n}\n', 2, 3)).toBe('tcp dport 80 hold');
  });

  test('ends at a semicolon or at the brace of its block', () => {
    const text = 'outbound { tcp dport 80 hold; default pass }';
    expect(textOf(text, 1, 12)).toBe('tcp dport 80 hold');
    expect(textOf(text, 1, 31)).toBe('default pass');
  });

  test('reaches over the lines of a set and of an escaped line end', () => {
    expect(textOf('tcp dport {\n 80, # web\n 443\n} hold\nnext', 1, 1)).toBe('tcp dport {\n 80, # web\n 443\n} hold');
    expect(textOf('tcp dport 80 \\\n  hold\nnext', 1, 1)).toBe('tcp dport 80 \\\n  hold');
  });

  test('is not confused by braces and semicolons in a comment string', () => {
    expect(textOf('default hold comment "a; } {"\nnext', 1, 1)).toBe('default hold comment "a; } {"');
  });

  test('may be the last thing in a text without a line end', () => {
    expect(textOf('default hold', 1, 1)).toBe('default hold');
  });

  test('is not found where no word begins', () => {
    expect(statementAt('default hold', 1, 2)).toBeNull();
    expect(statementAt('default hold\n', 3, 1)).toBeNull();
    expect(statementAt('', 1, 1)).toBeNull();
  });
});

function without(text: string, line: number, column: number): string {
  return withoutStatement(text, statementAt(text, line, column)!);
}

describe('a text without a statement', () => {
  test('loses the line and the comment behind it', () => {
    expect(without('a {\n  x hold # why\n  y hold\n}\n', 2, 3)).toBe('a {\n  y hold\n}\n');
    expect(without('a {\n  x hold ;\n  y hold\n}\n', 2, 3)).toBe('a {\n  y hold\n}\n');
  });

  test('keeps the comment above, which may speak of more than this rule', () => {
    expect(without('# all of it\nx hold\ny hold\n', 2, 1)).toBe('# all of it\ny hold\n');
  });

  test('keeps what else stands on the line', () => {
    expect(without('a { x hold; y hold }', 1, 5)).toBe('a { y hold }');
    expect(without('a { x hold; y hold }', 1, 13)).toBe('a { x hold;  }');
    expect(without('a { x hold }\n', 1, 5)).toBe('a {  }\n');
  });

  test('loses all lines of a set', () => {
    expect(without('x {\n 1,\n 2\n} hold\ny hold\n', 1, 1)).toBe('y hold\n');
  });

  test('may end without a line end', () => {
    expect(without('x hold\ny hold', 2, 1)).toBe('x hold\n');
  });
});

function beside(text: string, line: number, column: number, side: 'above' | 'below'): string {
  return withStatement(text, statementAt(text, line, column)!, side, 'NEW');
}

describe('a text with another statement', () => {
  test('has it on a line of its own with the same indent', () => {
    const text = 'a {\n  x hold # why\n  y hold\n}\n';
    expect(beside(text, 2, 3, 'above')).toBe('a {\n  NEW\n  x hold # why\n  y hold\n}\n');
    expect(beside(text, 2, 3, 'below')).toBe('a {\n  x hold # why\n  NEW\n  y hold\n}\n');
    expect(beside(text, 3, 3, 'below')).toBe('a {\n  x hold # why\n  y hold\n  NEW\n}\n');
  });

  test('breaks a line that holds more', () => {
    expect(beside('a { x hold; y hold }', 1, 13, 'above')).toBe('a { x hold; \nNEW\ny hold }');
    expect(beside('a { x hold; y hold }', 1, 5, 'below')).toBe('a { x hold\nNEW\ny hold }');
    expect(beside('a { x hold }\n', 1, 5, 'below')).toBe('a { x hold\nNEW\n}\n');
  });

  test('works at a text without a line end', () => {
    expect(beside('x hold', 1, 1, 'below')).toBe('x hold\nNEW\n');
    expect(beside('x hold', 1, 1, 'above')).toBe('NEW\nx hold');
  });
});
