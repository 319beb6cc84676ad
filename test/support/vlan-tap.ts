import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Netns } from './netns.ts';

const SOURCE = fileURLToPath(new URL('vlan-tap.c', import.meta.url));

/**
 * Makes a device for one VLAN of another one, also where the kernel has no VLAN devices: see vlan-tap.c. It ends with its namespace.
 * @param folder where the program is put
 * @param tap the new device's name; it is up
 */
export async function addVlanTap(netns: Netns, device: string, tap: string, id: number, folder: string): Promise<void> {
  const program = `${folder}/vlan-tap`;
  const { status, stderr } = spawnSync('gcc', ['-O2', '-o', program, SOURCE], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`vlan-tap.c does not compile: ${stderr}`);
  await netns.start(program, device, tap, String(id)).says('ready');
  netns.quietUp(tap);
}
