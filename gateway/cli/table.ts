/** @returns rows under a header, columns as wide as their widest cell; numbers stand right */
export function table(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  const texts = rows.map((row) => row.map((cell) => (typeof cell === 'number' ? grouped(cell) : cell)));
  const widths = header.map((name, i) => Math.max(name.length, ...texts.map((row) => row[i]!.length)));
  const rightAligned = header.map((_, i) => rows.some((row) => typeof row[i] === 'number'));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => (rightAligned[i] ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  return [line(header), ...texts.map(line)].map((text) => `  ${text}`);
}

/** @returns a whole number with its thousands apart */
export function grouped(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** @returns nanoseconds in the unit that suits them */
export function span(ns: number): string {
  if (ns < 1e3) return `${ns} ns`;
  if (ns < 1e6) return `${trimmed(ns / 1e3)} µs`;
  if (ns < 1e9) return `${trimmed(ns / 1e6)} ms`;
  const seconds = ns / 1e9;
  if (seconds < 600) return `${trimmed(seconds)} s`;
  if (seconds < 36_000) return `${trimmed(seconds / 60)} min`;
  if (seconds < 864_000) return `${trimmed(seconds / 3600)} h`;
  return `${trimmed(seconds / 86_400)} days`;
}

/** @returns text without the characters that a terminal obeys instead of showing */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not reach the terminal
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd');
}

function trimmed(value: number): string {
  return String(Number(value.toPrecision(4)));
}
