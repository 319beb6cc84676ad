import { type Netns, until } from './netns.ts';

const PORT = 7900;
const BLOCK_BYTES = 131_072;

type Command = [string, ...string[]];

/**
 * One bulk transfer over TCP, to a listener or from it, with all offloads that the devices have.
 * @param address the listener's, as it is reached by the other one
 * @returns bytes that arrived before the stream's end
 */
export async function bulkOver(
  listener: Netns,
  other: Netns,
  address: string,
  bytes: number,
  isFromListener = false,
): Promise<number> {
  const family = address.includes(':') ? 6 : 4;
  const socat = `socat -u -b ${BLOCK_BYTES}`;
  const ends = [
    `TCP${family}-LISTEN:${PORT},reuseaddr`,
    `TCP${family}:${family === 6 ? `[${address}]` : address}:${PORT}`,
  ];
  const [from, to] = isFromListener ? ends : ends.toReversed();
  const sends: Command = ['sh', '-c', `head -c ${bytes} /dev/zero | ${socat} - ${from}`];
  const counts: Command = ['sh', '-c', `${socat} ${to} - | wc -c`];
  const first = listener.start(...(isFromListener ? sends : counts));
  await until(() => listener.run('ss', '-Hltn', `sport = :${PORT}`) !== '', 'the listener');
  const second = other.start(...(isFromListener ? counts : sends));
  const said = await Promise.all([first.done(), second.done()]);
  return Number(said.join(''));
}
