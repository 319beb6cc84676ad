import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { openLog } from '../../gateway/log.ts';
import { LogSink } from '../../gateway/log-sink.ts';
import { temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();
const open: number[] = [];
let pipes = 0;

/** A real pipe, as a shell makes one: writing blocks when it is full. */
function pipe(): { writer: number; reader: number } {
  const path = folder.path(`pipe${pipes++}`);
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  open.push(reader, writer);
  return { writer, reader };
}

/** Everything that a pipe has now. */
function drain(reader: number): string {
  const pieces: string[] = [];
  const piece = Buffer.alloc(64 * 1024);
  for (;;) {
    try {
      const count = readSync(reader, piece);
      if (count === 0) break;
      pieces.push(piece.toString('latin1', 0, count));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') break;
      throw error;
    }
  }
  return pieces.join('');
}

function close(fd: number): void {
  open.splice(open.indexOf(fd), 1);
  closeSync(fd);
}

afterEach(() => {
  for (const fd of open.splice(0)) closeSync(fd);
});

/** Lines of different lengths, some longer than a pipe writes in one piece. */
function line(i: number): string {
  return `${i} ${'x'.repeat((i * 997) % 6000)}\n`;
}

const LINES = 500;
/** More bytes than a pipe takes, and fewer than wait besides. */
const COMES_BACK = 30;

describe('a pipe that nobody reads', () => {
  it('costs lines, which are counted, and never waits; what gets through are whole lines in order', async () => {
    const { writer, reader } = pipe();
    const told: number[] = [];
    const sink = new LogSink(writer, (lines) => {
      told.push(lines);
      sink.write(`lost ${lines}\n`);
    });
    for (let i = 0; i < LINES; i++) sink.write(line(i));
    expect(sink.lostLines).toBeGreaterThan(LINES / 2);
    expect(told).toEqual([]);

    let text = drain(reader);
    for (let tries = 0; tries < 100 && told.length === 0; tries++) {
      await sleep(50);
      text += drain(reader);
    }
    const lines = text.trimEnd().split('\n');
    expect(told).toEqual([sink.lostLines]);
    expect(lines.at(-1)).toBe(`lost ${sink.lostLines}`);
    expect(lines.length - 1 + sink.lostLines).toBe(LINES);
    const whole = lines.slice(0, -1).every((one, i) => `${one}\n` === line(i));
    expect(whole).toBe(true);

    sink.write('again\n');
    expect(drain(reader)).toBe('again\n');
    sink.close();
  });

  it('the lost lines are told where they are missing', () => {
    const { writer, reader } = pipe();
    const sink = new LogSink(writer, (lines) => sink.write(`lost ${lines}\n`));
    for (let i = 0; i < LINES; i++) sink.write(line(i));
    const lost = sink.lostLines;
    let text = '';
    for (const next of ['a', 'b', 'c']) {
      text += drain(reader);
      sink.write(`${next}\n`);
    }
    text += drain(reader);
    expect(text).toMatch(new RegExp(`\\nlost ${sink.lostLines}\\n(b\\n)?c\\n$`));
    expect(sink.lostLines - lost).toBeLessThan(3);
    sink.close();
  });

  it('loses nothing to a reader that comes back in time', async () => {
    const { writer, reader } = pipe();
    const sink = new LogSink(writer, () => {});
    const wanted = Array.from({ length: COMES_BACK }, (_, i) => line(i)).join('');
    for (let i = 0; i < COMES_BACK; i++) sink.write(line(i));
    let text = drain(reader);
    for (let tries = 0; tries < 100 && text.length < wanted.length; tries++) {
      await sleep(50);
      text += drain(reader);
    }
    expect([text === wanted, sink.lostLines]).toEqual([true, 0]);
    sink.close();
  });

  it('does not keep the gateway from ending: what still waits is counted', () => {
    const { writer } = pipe();
    const sink = new LogSink(writer, () => {});
    for (let i = 0; i < LINES; i++) sink.write(line(i));
    const lost = sink.lostLines;
    sink.close();
    expect(sink.lostLines).toBeGreaterThan(lost);
    const closed = sink.lostLines;
    sink.write('after\n');
    expect(sink.lostLines).toBe(closed + 1);
  });
});

describe('a reader that is gone', () => {
  it('costs every line, and no exception', () => {
    const { writer, reader } = pipe();
    const told: number[] = [];
    const sink = new LogSink(writer, (lines) => told.push(lines));
    sink.write('seen\n');
    close(reader);
    for (let i = 0; i < 5; i++) sink.write('unseen\n');
    expect([sink.lostLines, told]).toEqual([5, []]);
    sink.close();
  });

  it('so does a descriptor that is none', () => {
    const sink = new LogSink(987_654, () => {});
    sink.write('x\n');
    expect(sink.lostLines).toBe(1);
    sink.close();
  });
});

it('a file gets every line behind what others write into it', () => {
  const path = folder.path('file.log');
  const file = openSync(path, 'w');
  const sink = new LogSink(file, () => {});
  sink.write('one\n');
  sink.write('two\n');
  sink.close();
  closeSync(file);
  expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
});

it('the lines of a log that were lost are told in it, and counted', async () => {
  const { writer, reader } = pipe();
  const { log, lostLines, close: closeLog } = await openLog({ level: 'info', format: 'json' }, writer);
  for (let i = 0; i < 5000; i++) log.info({ frames: i }, 'a line among many others');
  expect(lostLines()).toBeGreaterThan(0);
  let text = drain(reader);
  for (let tries = 0; tries < 100 && !text.includes('"warn"'); tries++) {
    await sleep(50);
    text += drain(reader);
  }
  closeLog();
  expect(JSON.parse(text.trimEnd().split('\n').at(-1)!)).toMatchObject({
    level: 'warn',
    lines: lostLines(),
    msg: 'log lines were lost: their reader was too slow',
  });
});

/** Standard error of a child process is a socket here, as it is under systemd. */
it('a socket that nobody reads costs lines too, and the process ends by itself', async () => {
  const module = fileURLToPath(new URL('../../gateway/log.ts', import.meta.url));
  const script = `
    import { openLog } from ${JSON.stringify(module)};
    const { log, lostLines, close } = await openLog({ level: 'info', format: 'json' });
    for (let i = 0; i < 20_000; i++) log.info({ frames: i }, 'a line among many others, of which there are two megabytes');
    close();
    process.stdout.write(String(lostLines()));
  `;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 100_000,
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  // It may have ended before what it said has come; standard error, which nobody reads, never closes by itself.
  const [[code]] = await Promise.all([once(child, 'exit'), once(child.stdout, 'end')]);
  child.stderr.destroy();
  expect([code, Number(stdout) > 5000]).toEqual([0, true]);
});
