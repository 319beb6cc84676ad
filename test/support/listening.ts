import { readFileSync } from 'node:fs';
import { until } from './netns.ts';

/** Flags of a unix socket in /proc/net/unix; proc_net(5). */
const SOCKET_LISTENS = '00010000';
/** A program that is starved of its processor by others. */
const SLOW_MS = 60_000;

/** Waits until somebody in this network namespace listens on a unix socket, whose file is there before that. */
export async function untilListening(path: string): Promise<void> {
  const isListening = (line: string) => line.endsWith(` ${path}`) && line.split(/\s+/)[3] === SOCKET_LISTENS;
  const sockets = () => readFileSync('/proc/net/unix', 'utf8').split('\n');
  await until(() => sockets().some(isListening), `somebody to listen on ${path}`, SLOW_MS);
}
