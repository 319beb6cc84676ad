/** The deploy guide's part about libvirt, with libvirt's own daemon and a guest that runs. */
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { guestFiles, noGuestReason, VM_GUEST } from '../support/guest.ts';
import { Netns, noNetnsReason } from '../support/netns.ts';
import { withoutPrograms } from '../support/programs.ts';
import { HOLDFAST, temporaryFolder } from '../support/run-cli.ts';

const DEPLOY = fileURLToPath(new URL('../../gateway/deploy/', import.meta.url));
const LIBVIRT = fileURLToPath(new URL('../support/libvirt.sh', import.meta.url));
const GUIDE = readFileSync(`${DEPLOY}README.md`, 'utf8');
const MINUTE_MS = 60_000;
const folder = temporaryFolder();
let reason: string | null;
let netns: Netns;

beforeAll(() => {
  reason = noNetnsReason('mount') ?? withoutPrograms('libvirtd', 'virsh', 'ping', 'socat') ?? noGuestReason();
}, 8 * MINUTE_MS);
beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  netns = new Netns('libvirt');
});
afterEach(() => netns?.delete());

/** @returns the guide's blocks with such a fence */
function blocks(fence: string): string[] {
  return [...GUIDE.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === fence)
    .map(([, , text]) => text!.trimEnd());
}

/** The guide's guest, with its interface and its second QMP socket, and what it boots from. */
function guestXml(): string {
  const { kernel, initrd } = guestFiles();
  const [bridged, withSocket] = blocks('xml');
  return withSocket!.replace("type='kvm'", "type='qemu'").replace(
    '…',
    `<name>web</name><memory unit='MiB'>128</memory><features><acpi/></features>
      <os>
        <type arch='x86_64' machine='q35'>hvm</type><kernel>/run/boot/${basename(kernel)}</kernel><initrd>/run/boot/${basename(initrd)}</initrd>
        <cmdline>quiet panic=-1 init_on_free=1 ip4=${VM_GUEST.ip4}/24 ip6=${VM_GUEST.ip6}/64</cmdline>
      </os>
      <devices>
        ${bridged!.replace('<source', `<mac address='${VM_GUEST.mac}'/><source`)}
        <controller type='usb' model='none'/><memballoon model='none'/>
      </devices>`,
  );
}

/** Runs commands in a shell that has what test/support/libvirt.sh makes. @returns what they print */
function withLibvirt(...commands: readonly string[]): string {
  const [bin, logs] = [folder.path('bin'), folder.path('logs')];
  for (const path of [bin, logs]) mkdirSync(path, { recursive: true });
  chmodSync(folder.write('bin/holdfast', `#!/bin/sh\nexec '${process.execPath}' '${HOLDFAST}' "$@"\n`), 0o755);
  const script = [
    `PATH=${bin}:$PATH LOGS=${logs} QMP='/var/lib/libvirt/qemu/web.qmp /dev/shm/web/qmp' BOOT='${Object.values(guestFiles()).join(' ')}'`,
    `GUEST_IP=${VM_GUEST.ip4} GUEST_MAC=${VM_GUEST.mac}`,
    `. ${LIBVIRT}`,
    `cd ${DEPLOY}`,
    ...commands,
  ];
  return netns.run('bash', '-c', script.join('\n'));
}

test(
  'the hook puts the gateway before the bridge and takes it away; a guest that dies goes on at its standby',
  () => {
    const guest = folder.write('web.xml', guestXml());
    const [prepare, ...standby] = blocks('sh standby')[0]!.replaceAll('\\\n', '').split('\n');
    const said = withLibvirt(
      blocks('sh libvirt')[0]!,
      'start_libvirt',
      `virsh create ${guest}`,
      'ip -br link show master br0',
      'virsh destroy web',
      'echo in br0 then: $(ip -br link show master br0 | wc -l)',
      // The way to the network stays when the guest dies.
      'echo > /etc/holdfast/guests',
      `virsh create ${guest}`,
      'holdfast bridge attach --vm-tap web-tap --bridge br0',
      'start gateway holdfast run --name web --inside web-tap --outside hf-web-tap --rules hold-all',
      'wait_for answers',
      prepare!,
      `start standby ${standby.join(' ').replace('eval "', 'eval "exec ')}`,
      'wait_for says standby ^ready',
      `start driver ${blocks('sh protect')[0]} --json`,
      `wait_for says driver '"event":"committed"' 2`,
      'echo protected: $(virsh domstate web)',
      'wait_for answers',
      'kill -9 $(cat /run/libvirt/qemu/web.pid)',
      'wait $driver || echo driver: $?',
      // A term that has ended by then is not gone on with.
      `wait_for says standby 'the VM goes on'`,
      'holdfast host stop --held release',
      'wait_for answers',
    );
    expect(said).toMatch(/^hf-web-tap-br@hf-web-tap /m);
    expect(said).toContain('in br0 then: 0');
    expect(said).toContain('protected: running');
    expect(said).toContain('driver: 1');
  },
  4 * MINUTE_MS,
);
