import { Reports } from './errors.ts';
import { lex, type Token } from './lex.ts';

const INDENT = '  ';
/** Between the columns of a rule. */
const GAP = '   ';
/** Matches wider than this stand out of the column in which the others' classes and verdicts begin. */
const MAX_ALIGNED = 64;
const OUTCOMES: readonly string[] = ['class', 'pass', 'hold', 'drop'];
/** Blocks that hold statements, each on a line of its own. Other braces hold elements. */
const BLOCKS: readonly string[] = ['outbound', 'inbound'];

const NO_GROUP = 0;
const CLASSES = 1;

/** One line of the result, before columns are aligned. */
interface Line {
  readonly indent: string;
  /** What stands left of the column, then what stands in it, and the comment string in a column of its own. */
  readonly cells: readonly string[];
  /** With its '#'; '' without one. */
  readonly comment: string;
  /** Lines of one group share their columns: NO_GROUP, CLASSES, or the number of a block. */
  readonly group: number;
}

/**
 * The text in its usual form: two blanks of indent, one statement a line, classes and verdicts of a block in one column. Comments and
 * single blank lines stay, and so do line ends in sets. Means what it meant before, and formatting it again changes nothing.
 * @param text a rule file without errors
 */
export function formatRules(text: string): string {
  const lines = new Layout(text).lines();
  const widths = columnWidths(lines);
  const shown = lines.map((line) => {
    const columns = widths.get(line.group) ?? [];
    const cells = line.cells.map((cell, i) => (i < line.cells.length - 1 ? cell.padEnd(columns[i] ?? 0) : cell));
    return `${line.indent}${cells.join(line.group === CLASSES ? ' ' : GAP)}`;
  });
  return alignComments(lines, shown)
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}

/** By group, how wide each cell is that another follows. */
function columnWidths(lines: readonly Line[]): Map<number, number[]> {
  const widths = new Map<number, number[]>();
  for (const { group, cells } of lines) {
    if (group === NO_GROUP) continue;
    const columns = widths.get(group) ?? [];
    widths.set(group, columns);
    for (const [i, cell] of cells.slice(0, -1).entries()) {
      if (cell.length <= MAX_ALIGNED) columns[i] = Math.max(columns[i] ?? 0, cell.length);
    }
  }
  return widths;
}

/** Comments behind lines of one kind that follow one another begin in one column. */
function alignComments(lines: readonly Line[], shown: readonly string[]): string[] {
  const aligned: string[] = [];
  for (let from = 0; from < lines.length; ) {
    let to = from + 1;
    while (to < lines.length && shareCommentColumn(lines[from]!, lines[to]!)) to++;
    const width = Math.max(...shown.slice(from, to).map((text) => text.length));
    for (let i = from; i < to; i++) {
      const { comment, cells, indent } = lines[i]!;
      if (comment === '') aligned.push(shown[i]!);
      else aligned.push(cells.length === 0 ? indent + comment : `${shown[i]!.padEnd(width)}  ${comment}`);
    }
    from = to;
  }
  return aligned;
}

function shareCommentColumn(a: Line, b: Line): boolean {
  if (!hasTrailing(a) || !hasTrailing(b) || a.group !== b.group || a.indent !== b.indent) return false;
  return a.group !== NO_GROUP || a.indent !== '';
}

function hasTrailing(line: Line): boolean {
  return line.comment !== '' && line.cells.length > 0;
}

/** Cuts the text into lines. */
class Layout {
  readonly #text: string;
  readonly #tokens: readonly Token[];
  readonly #lines: Line[] = [];
  #at = 0;
  #block = CLASSES;
  /** The comment before the text's end has been taken. */
  #isDone = false;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = lex(text, new Reports(''));
  }

  lines(): Line[] {
    for (let depth = 0; this.#peek().kind !== 'end'; ) {
      const token = this.#peek();
      if (token.kind === 'newline') {
        this.#lineEnd(depth);
      } else if (isMark(token, ';')) {
        this.#loneSemicolon(depth);
      } else if (isMark(token, '}')) {
        depth = Math.max(0, depth - 1);
        this.#dropBlankLine();
        this.#push({ indent: INDENT.repeat(depth), cells: ['}'], comment: '', group: NO_GROUP });
        this.#at++;
        this.#trailing(depth);
      } else if (token.kind === 'word' && BLOCKS.includes(token.text) && depth === 0) {
        this.#openBlock();
        depth++;
      } else {
        this.#statement(depth);
      }
    }
    if (!this.#isDone) this.#ownLine(0, this.#gapComment());
    this.#dropBlankLine();
    return this.#lines;
  }

  #peek(): Token {
    return this.#tokens[this.#at]!;
  }

  #push(line: Line): void {
    this.#lines.push(line);
  }

  /** The comment that stands between the last token and the next. */
  #gapComment(): string {
    const from = this.#at === 0 ? 0 : this.#tokens[this.#at - 1]!.end;
    const gap = this.#text.slice(from, this.#peek().start);
    const hash = gap.indexOf('#');
    return hash < 0 ? '' : gap.slice(hash).trimEnd();
  }

  /**
   * Whether the comment before the next token begins its line. One that does may say something (`# @holds …`), so it must go on doing
   * so, and one that does not must not begin to.
   */
  #beginsLine(): boolean {
    const hash = this.#text.indexOf('#', this.#tokens[this.#at - 1]?.end ?? 0);
    return /(^|\n)[^\S\n]*$/.test(this.#text.slice(this.#tokens[this.#at - 1]?.start ?? 0, hash));
  }

  #ownLine(depth: number, comment: string): void {
    if (comment !== '') this.#push({ indent: INDENT.repeat(depth), cells: [], comment, group: NO_GROUP });
  }

  /** It goes, unless a comment would be alone on its line without it. */
  #loneSemicolon(depth: number): void {
    this.#at++;
    if (this.#gapComment() === '' || this.#beginsLine()) return;
    this.#push({ indent: INDENT.repeat(depth), cells: [';'], comment: '', group: NO_GROUP });
    this.#trailing(depth);
  }

  /** A line without a statement: empty, or a comment alone. */
  #lineEnd(depth: number): void {
    const comment = this.#gapComment();
    const isStart = this.#at === 0 || this.#tokens[this.#at - 1]!.kind === 'newline';
    this.#at++;
    if (comment !== '') this.#ownLine(depth, comment);
    else if (isStart && this.#mayBeBlank()) this.#push({ indent: '', cells: [], comment: '', group: NO_GROUP });
  }

  /** One blank line at the most, and none below an opening brace or at the start. */
  #mayBeBlank(): boolean {
    const last = this.#lines.at(-1);
    return (
      last !== undefined && !isBlank(last) && !(last.group === NO_GROUP && last.cells.at(-1)?.endsWith('{') === true)
    );
  }

  #dropBlankLine(): void {
    while (this.#lines.length > 0 && isBlank(this.#lines.at(-1)!)) this.#lines.pop();
  }

  #openBlock(): void {
    let words = [this.#peek().text];
    this.#at++;
    while (!isMark(this.#peek(), '{') && this.#peek().kind !== 'end') {
      // Comments between the word and its brace keep them apart.
      const comment = this.#gapComment();
      if (comment !== '') {
        const isAlone = this.#beginsLine();
        if (words.length > 0)
          this.#push({ indent: '', cells: words, comment: isAlone ? '' : comment, group: NO_GROUP });
        if (isAlone) this.#ownLine(0, comment);
        words = [];
      }
      this.#at++;
    }
    this.#at++;
    this.#push({ indent: '', cells: [[...words, '{'].join(' ')], comment: '', group: NO_GROUP });
    this.#block++;
    this.#trailing(1);
  }

  /** Takes the line's end, with the comment before it. @param depth of a comment that begins a line */
  #trailing(depth: number): void {
    const { kind } = this.#peek();
    if (kind !== 'newline' && kind !== 'end') return;
    const comment = this.#gapComment();
    if (comment !== '' && this.#beginsLine()) this.#ownLine(depth, comment);
    else if (comment !== '') this.#push({ ...this.#lines.pop()!, comment });
    // The end keeps its comment for whoever comes last: it must not find it again.
    if (kind === 'newline') this.#at++;
    else this.#isDone = comment !== '';
  }

  #statement(depth: number): void {
    const cells = [''];
    const isClass = depth === 0 && this.#peek().text === 'class';
    const group = isClass ? CLASSES : depth > 0 ? this.#block : NO_GROUP;
    let braces = 0;
    let indent = INDENT.repeat(depth);
    let isWhole = true;
    let previous: Token | null = null;
    for (;;) {
      const token = this.#peek();
      if (
        token.kind === 'end' ||
        (braces === 0 && (token.kind === 'newline' || isMark(token, ';') || isMark(token, '}')))
      )
        break;
      if (token.kind === 'newline') {
        // A line end in braces stays; lines that hold nothing go.
        const comment = this.#gapComment();
        const isAlone = comment !== '' && this.#beginsLine();
        const isEmpty = cells.join('') === '';
        if (!isEmpty || (comment !== '' && !isAlone)) {
          this.#push({
            indent,
            cells: isEmpty ? [] : [cells.join(' ')],
            comment: isAlone ? '' : comment,
            group: NO_GROUP,
          });
        }
        if (isAlone) this.#ownLine(depth + braces, comment);
        cells.splice(0, cells.length, '');
        isWhole = false;
        this.#at++;
        previous = null;
        indent = INDENT.repeat(depth + (isMark(this.#peek(), '}') ? braces - 1 : braces));
        continue;
      }
      if (isMark(token, '}')) braces--;
      const escaped = previous !== null && this.#text.slice(previous.end, token.start).includes('\n');
      if (escaped) {
        this.#push({ indent, cells: [`${cells.join(' ')} \\`], comment: '', group: NO_GROUP });
        cells.splice(0, cells.length, '');
        indent = INDENT.repeat(depth + 2);
        isWhole = false;
        previous = null;
      }
      const startsCell =
        group !== NO_GROUP && braces === 0 && isWhole && previous !== null && startsColumn(token, cells);
      const text = token.kind === 'string' ? `"${token.text}"` : token.text;
      if (startsCell) cells.push(text);
      else cells[cells.length - 1] += this.#separator(previous, token, braces) + text;
      if (isMark(token, '{')) braces++;
      previous = token;
      this.#at++;
    }
    this.#push({ indent, cells, comment: '', group: isWhole ? group : NO_GROUP });
    if (isMark(this.#peek(), ';')) this.#at++;
    this.#trailing(depth);
  }

  /** What stands between two tokens of a line: a blank where there were blanks, and around braces, '=' and the commas of sets. */
  #separator(previous: Token | null, token: Token, braces: number): string {
    if (previous === null || isMark(token, ';') || (isMark(token, ',') && braces > 0)) return '';
    if (isMark(previous, '=') || isMark(token, '=')) return ' ';
    if (isMark(previous, '{') || isMark(token, '{') || isMark(token, '}') || isMark(previous, ';')) return ' ';
    if (isMark(previous, ',') && braces > 0) return ' ';
    return token.start > previous.end ? ' ' : '';
  }
}

/** A class or verdict begins the second column, a comment string the third. */
function startsColumn(token: Token, cells: readonly string[]): boolean {
  if (token.kind !== 'word') return false;
  return cells.length === 1 ? OUTCOMES.includes(token.text) : cells.length === 2 && token.text === 'comment';
}

function isBlank(line: Line): boolean {
  return line.cells.length === 0 && line.comment === '';
}

function isMark(token: Token, mark: string): boolean {
  return token.kind === 'punctuation' && token.text === mark;
}
