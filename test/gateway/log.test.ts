import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../gateway/clock.ts';
import type { GatewayConfig } from '../../gateway/config.ts';
import { type Log, type LogFields, openLog } from '../../gateway/log.ts';
import { LimitedLog } from '../../gateway/log-limit.ts';
import { temporaryFolder } from '../support/run-cli.ts';

const folder = temporaryFolder();

/** What `write` logs into a file. */
async function logged(config: GatewayConfig['log'], write: (log: Log) => void): Promise<string> {
  const path = folder.path('log');
  const file = openSync(path, 'w');
  const { log, close } = await openLog(config, file, {});
  write(log);
  close();
  closeSync(file);
  return readFileSync(path, 'utf8');
}

describe('a log', () => {
  it('is one JSON object a line, with the time, the level by name, the fields and the message', async () => {
    const text = await logged({ level: 'info', format: 'auto' }, (log) => {
      log.info({ vm: 'web1', term: 3, epoch: 7 }, 'committed');
      log.error({ vm: 'web1', port: 'tap0', err: new TypeError('no') }, 'port failed');
    });
    const [first, second] = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(first).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      vm: 'web1',
      term: 3,
      epoch: 7,
      msg: 'committed',
    });
    expect(second).toMatchObject({
      level: 'error',
      vm: 'web1',
      port: 'tap0',
      err: { type: 'TypeError', message: 'no', stack: expect.any(String) },
    });
  });

  it('says only what is important enough', async () => {
    const levels = async (level: GatewayConfig['log']['level']) => {
      const text = await logged({ level, format: 'json' }, (log) => {
        log.debug({}, 'd');
        log.info({}, 'i');
        log.warn({}, 'w');
        log.error({}, 'e');
      });
      return [...text.matchAll(/"msg":"(.)"/g)].map(([, message]) => message).join('');
    };
    expect([await levels('debug'), await levels('info'), await levels('warn'), await levels('error')]).toEqual([
      'diwe',
      'iwe',
      'we',
      'e',
    ]);
  });

  it('is for people where that is asked, one line each, without colors where no terminal is', async () => {
    const text = await logged({ level: 'info', format: 'pretty' }, (log) => {
      log.info({ vm: 'web1', epoch: 7 }, 'committed');
    });
    expect(text).toMatch(/^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\] INFO: committed \{"vm":"web1","epoch":7\}\n$/);
  });

  it('shows people no control characters of others, and text with backslashes as it is', async () => {
    const text = await logged({ level: 'info', format: 'pretty' }, (log) => {
      log.info({ client: 'a\u001b[2Jb\u009bc\r\u202ed' }, 'hello \u001b]0;x\u0007 \\u001b \\b');
    });
    expect(text).toContain('hello ?]0;x? \\u001b \\b');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there
    expect(text.trimEnd()).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/);
  });
});

const MODULE = fileURLToPath(new URL('../../gateway/log.ts', import.meta.url));

/** Logs a line to a terminal of its own. @returns what it shows */
function onTerminal(format: string, env: Readonly<Record<string, string>>): string {
  const path = folder.write(
    'terminal.mts',
    `import { openLog } from ${JSON.stringify(MODULE)};
     const { log, close } = await openLog({ level: 'info', format: '${format}' });
     log.info({ vm: 'web1' }, 'hello');
     close();`,
  );
  const command = `${process.execPath} --import ${import.meta.resolve('tsx')} ${path}`;
  const { NO_COLOR: _, ...rest } = process.env;
  return execFileSync('script', ['-qec', command, '/dev/null'], {
    encoding: 'utf8',
    env: { ...rest, NODE_OPTIONS: '', TERM: 'xterm', ...env },
    input: '',
  });
}

describe('on a terminal', () => {
  it('auto is for people and in colors, unless NO_COLOR or a dumb terminal asks for none', () => {
    expect(onTerminal('auto', {})).toContain('\u001b[32mINFO\u001b[39m');
    for (const env of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      expect(onTerminal('auto', env)).toMatch(/^\[[-\d:. ]+\] INFO: hello \{"vm":"web1"\}\r?\n$/);
    }
  });

  it('json stays JSON', () => {
    expect(JSON.parse(onTerminal('json', {}))).toMatchObject({ level: 'info', vm: 'web1', msg: 'hello' });
  });
});

/** Remembers lines instead of writing them. */
class Lines {
  readonly lines: string[] = [];
  debug = this.#writer('debug');
  info = this.#writer('info');
  warn = this.#writer('warn');
  error = this.#writer('error');

  #writer(level: string): (fields: LogFields, message: string) => void {
    return (fields, message) => this.lines.push(`${level} ${JSON.stringify(fields)} ${message}`);
  }
}

describe('what happens again and again', () => {
  it('is told a few times a second, and then how often it was left out', () => {
    const lines = new Lines();
    const clock = new VirtualClock();
    const limited = new LimitedLog(lines, clock, 2);
    for (let i = 0; i < 10; i++) {
      clock.advanceTo(i * 50e6);
      limited.write('warn', 'link tap0', { port: 'tap0' }, i % 2 === 0 ? 'link down' : 'link up');
    }
    limited.write('info', 'link eth0', { port: 'eth0' }, 'link down');
    limited.tick();
    const few = ['warn {"port":"tap0"} link down', 'warn {"port":"tap0"} link up', 'info {"port":"eth0"} link down'];
    expect(lines.lines).toEqual(few);
    clock.advanceTo(1e9);
    limited.tick();
    limited.tick();
    expect(lines.lines).toEqual([...few, 'warn {"port":"tap0","lines":8} link up (the last of 8 left out)']);
  });

  it('tells what was left out before the next line of its subject, also without a tick', () => {
    const lines = new Lines();
    const clock = new VirtualClock();
    const limited = new LimitedLog(lines, clock, 1);
    limited.write('info', 'a', {}, 'first');
    limited.write('info', 'a', {}, 'second');
    clock.advanceTo(1e9);
    limited.write('info', 'a', {}, 'third');
    expect(lines.lines).toEqual(['info {} first', 'info {"lines":1} second (the last of 1 left out)', 'info {} third']);
  });

  it('about any number of subjects takes a bounded number of lines', () => {
    const lines = new Lines();
    const limited = new LimitedLog(lines, new VirtualClock(), 1);
    for (let i = 0; i < 10_000; i++) limited.write('warn', `subject ${i}`, {}, 'x');
    expect(lines.lines.length).toBe(257);
  });
});
