import { isatty } from 'node:tty';
import { pino, stdTimeFunctions } from 'pino';
import type { GatewayConfig } from './config.ts';
import { LogSink } from './log-sink.ts';

/** What a line may say besides its message: always under these names, so that logs can be searched. */
export interface LogFields {
  readonly vm?: string;
  readonly port?: string;
  readonly side?: 'inside' | 'outside';
  readonly backend?: string;
  readonly term?: number;
  readonly epoch?: number;
  /** Of the VM: off, waiting, on. */
  readonly state?: string;
  /** Of the rules in force. */
  readonly generation?: number;
  readonly frames?: number;
  readonly bytes?: number;
  readonly reason?: string;
  /** Of a port: up, down, gone. */
  readonly link?: string;
  /** That a failover announced. */
  readonly address?: string;
  readonly signal?: string;
  /** What a host calls itself. */
  readonly client?: string;
  readonly path?: string;
  /** Lines that were lost or left out. */
  readonly lines?: number;
  readonly err?: unknown;
}

/** Never call it per frame. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}

export interface OpenLog {
  readonly log: Log;
  /** Lines that nobody will see because their reader was stuck or gone. */
  lostLines(): number;
  /** Gives a slow reader a moment for the last lines. What is logged after is lost. */
  close(): void;
}

/**
 * Lines for people on a terminal, JSON elsewhere, on standard error: standard output is for what a command answers. A line has been
 * written when its call returns; one that cannot be written at once is kept or counted, see `LogSink`.
 * @param fd where lines go
 * @param env NO_COLOR and TERM=dumb are respected
 */
export async function openLog(
  { level, format }: GatewayConfig['log'],
  fd = 2,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<OpenLog> {
  const isTerminal = isatty(fd);
  const isPretty = format === 'pretty' || (format === 'auto' && isTerminal);
  const hasColors = isTerminal && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  const shape = isPretty ? await prettyShape(hasColors) : (line: string) => line;
  const sink = new LogSink(fd, (lines) => log.warn({ lines }, 'log lines were lost: their reader was too slow'));
  const log: Log = pino(
    {
      level,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => sink.write(shape(line)) },
  );
  return { log, lostLines: () => sink.lostLines, close: () => sink.close() };
}

/** Loaded only where somebody looks. */
async function prettyShape(colorize: boolean): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty');
  const pretty = prettyFactory({ colorize, translateTime: 'SYS:yyyy-mm-dd HH:MM:ss.l', singleLine: true });
  return (line) => pretty(harmless(line));
}

/**
 * JSON tells control characters by escapes, which end when it is read: what a client calls itself must not steer a terminal. Line ends
 * and tabs stay, for stacks.
 */
function harmless(json: string): string {
  return json.replace(/\\(u00[01][0-9a-f]|[bfr]|.)|[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (found, escaped) =>
    escaped === undefined || /^(u00|[bfr])/.test(escaped) ? '?' : found,
  );
}
