/** The deploy guide's commands, run as they are written, and the files that it installs. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Netns, noNetnsReason } from '../support/netns.ts';
import { withoutPrograms } from '../support/programs.ts';
import { HOLDFAST, temporaryFolder } from '../support/run-cli.ts';

const DEPLOY = fileURLToPath(new URL('../../gateway/deploy/', import.meta.url));
const GUIDE = readFileSync(`${DEPLOY}README.md`, 'utf8');
const folder = temporaryFolder();

/** @returns the commands of a way to deploy, in the order of the guide */
function commands(way: string): string[] {
  return [...GUIDE.matchAll(/^```sh (\w+)\n([\s\S]*?)^```$/gm)]
    .filter(([, name]) => name === way)
    .flatMap(([, , text]) => text!.replaceAll('\\\n', ' ').trimEnd().split('\n'));
}

describe('the guide', () => {
  const reason = noNetnsReason('mount');
  let netns: Netns;

  beforeEach(({ skip }) => {
    skip(reason !== null, reason ?? '');
    netns = new Netns('deploy');
  });
  afterEach(() => netns?.delete());

  /**
   * Runs a way's commands in a shell, on a machine with `eth0` and `eth1`, and then what is asked of it. What does not end by itself goes
   * on in the background: the gateway until it is ready. Folders of the system that commands write to are the shell's own.
   */
  function follow(way: string, ...questions: readonly string[]): string {
    const bin = folder.path('bin');
    mkdirSync(bin, { recursive: true });
    folder.write('bin/holdfast', `#!/bin/sh\nexec '${process.execPath}' '${HOLDFAST}' "$@"\n`);
    chmodSync(`${bin}/holdfast`, 0o755);
    const log = folder.path(`${way}.log`);
    const running = (command: string) =>
      command.startsWith('holdfast run')
        ? [`${command} > ${log} 2>&1 &`, 'gateway=$!', `wait_for grep -q ^ready ${log}`]
        : command.startsWith('qemu-system')
          ? [`${command} &`, 'vm=$!']
          : [command];
    const script = [
      'set -eu',
      'gateway= vm=',
      "trap 'for pid in $vm $gateway; do kill $pid; wait $pid || true; done' EXIT",
      `wait_for() { end=$(($(date +%s)+60)); until "$@"; do [ $(date +%s) -lt $end ] || { cat ${log}; exit 9; }; sleep 0.1; done; }`,
      'mkdir -p /run/holdfast',
      'mount -t tmpfs tmpfs /run/holdfast',
      'mount -t tmpfs tmpfs /run/netns',
      'mkdir /run/holdfast/etc',
      'cp -a /etc/. /run/holdfast/etc',
      'mount --bind /run/holdfast/etc /etc',
      `cd '${DEPLOY}'`,
      `PATH=${bin}:$PATH`,
      'ip link add eth0 type veth peer name host',
      'ip link add eth1 type veth peer name wire',
      'for device in eth0 host eth1 wire; do ip link set $device up; done',
      'ip addr add 198.51.100.1/32 dev lo',
      ...commands(way).flatMap(running),
      ...questions,
    ].join('\n');
    return netns.run('sh', '-c', script);
  }

  test('a VM on a bridge', { timeout: 180_000 }, () => {
    const said = follow('bridge', 'ip -br link show master br0', 'ls /run/holdfast/bridge');
    expect(said).toContain('tap0 is attached to br0 through hf-tap0');
    expect(said).toMatch(/outside .*hf-tap0/);
    expect(said).toMatch(/tap0 is detached, it is in br0\ntap0 .*\n$/);
  });

  test('plain QEMU', { timeout: 180_000 }, ({ skip }) => {
    const missing = withoutPrograms('qemu-system-x86_64');
    skip(missing !== null, missing ?? '');
    const isUp =
      'is_up() { holdfast status --json | grep -q \'"side":"inside","name":"[^"]*","backend":"stream","link":"up"\'; }';
    expect(follow('stream', isUp, 'wait_for is_up', 'echo the VM is connected')).toContain('the VM is connected');
  });

  test('a container', { timeout: 180_000 }, () => {
    const said = follow(
      'container',
      'ip addr add 192.0.2.1/24 dev wire',
      'ip netns exec web ping -c 1 -w 30 192.0.2.1',
    );
    expect(said).toContain('1 received');
  });

  test('libvirt, as far as its hook', { timeout: 180_000 }, () => {
    const xml = /^```xml\n([\s\S]*?)^```$/m.exec(GUIDE)![1]!;
    const guest = folder.write('web.xml', `<domain type='kvm'><name>web</name><devices>${xml}</devices></domain>`);
    const hook = (operation: string) => `/etc/libvirt/hooks/qemu.d/holdfast web ${operation} begin - < ${guest}`;
    const said = follow(
      'libvirt',
      // What libvirt does for such an interface before it asks.
      'ip link add br0 type bridge',
      'ip tuntap add web-tap mode tap',
      'ip link set web-tap master br0 up',
      'ip link set br0 up',
      `${hook('started')} 2>&1`,
      'holdfast run --inside web-tap --outside hf-web-tap > /run/holdfast/log 2>&1 &',
      'gateway=$!',
      'wait_for grep -q ^ready /run/holdfast/log',
      'ip -br link show master br0',
      // The guest is gone, and its tap with it.
      'kill $gateway; wait $gateway || true; gateway=',
      'ip link del web-tap',
      `${hook('release')} 2>&1`,
      'echo in br0 now: $(ip -br link show master br0 | wc -l)',
    );
    expect(said).toContain('web-tap is attached to br0 through hf-web-tap');
    expect(said).toMatch(/^hf-web-tap-br@hf-web-tap /m);
    expect(said).toContain('in br0 now: 0');
  });

  test('a switch elsewhere', { timeout: 180_000 }, ({ skip }) => {
    const missing = withoutPrograms('openssl');
    skip(missing !== null, missing ?? '');
    const said = follow('switch');
    expect(said).toContain('0 errors');
    // It is not the owner who asks, but the host that the certificate names.
    expect(said).toContain('web1');
    expect(said).toMatch(/epoch 1 is sealed, epoch 2 is open/);
    expect(said).toMatch(/epoch 1 is committed/);
  });

  test("what installs the service, but for systemd's own commands", { timeout: 180_000 }, () => {
    const said = follow('service', 'ls -l /etc/holdfast/holdfast.yaml', 'ls /etc/systemd/system/holdfast.service');
    expect(said).toMatch(/0 errors[\s\S]*^-rw------- /m);
  });

  test('every command line of it is run here, or is about installing', () => {
    const ways = [...GUIDE.matchAll(/^```(\S*)(?: (\w+))?$/gm)]
      .filter(([line]) => line !== '```')
      .map(([line]) => line.slice(3));
    const run = ['bridge', 'libvirt', 'stream', 'container', 'switch', 'service'].map((way) => `sh ${way}`);
    // In libvirt.test.ts.
    const runThere = ['sh standby', 'sh protect'];
    expect(new Set(ways)).toEqual(new Set([...run, ...runThere, 'sh', 'xml']));
    // What test/deploy tries, and what needs systemd or a registry of images.
    const others = [...GUIDE.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, text]) => text!.trimEnd().split('\n'));
    for (const line of others) expect(line).toMatch(/^(npm install|make deb|systemctl|sysctl -w|podman) /);
  });
});

describe('the libvirt hook', () => {
  const xml = `<domain type='kvm' id='3'>
  <name>web</name>
  <devices>
    <interface type='bridge'>
      <mac address='52:54:00:00:00:01'/>
      <source bridge='br0'/>
      <target dev='web-tap'/>
    </interface>
    <interface type="network"><source network="default" bridge="virbr0"/><target dev="web-net"/></interface>
    <interface type='user'><target dev='nothing'/></interface>
  </devices>
</domain>`;

  /** @returns exit code, and what `holdfast` was called with */
  function hook(guest: string, operation: string, input: string, exitCode = 0): [number | null, string] {
    const calls = folder.write('calls', '');
    folder.write('guests', 'db\nweb\n');
    const path = folder.path('hooked');
    mkdirSync(path, { recursive: true });
    folder.write('hooked/holdfast', `#!/bin/sh\necho "$@" >> ${calls}\nexit ${exitCode}\n`);
    chmodSync(`${path}/holdfast`, 0o755);
    const env = { ...process.env, PATH: `${path}:${process.env.PATH}`, HOLDFAST_GUESTS: folder.path('guests') };
    const { status } = spawnSync(`${DEPLOY}libvirt-qemu-hook.sh`, [guest, operation, 'begin', '-'], { env, input });
    return [status, readFileSync(calls, 'utf8')];
  }

  test('attaches when the guest has started, and detaches when it is gone', () => {
    const attached = 'bridge attach --vm-tap web-tap --bridge br0\nbridge attach --vm-tap web-net --bridge virbr0\n';
    expect(hook('web', 'started', xml)).toEqual([0, attached]);
    expect(hook('web', 'release', xml)).toEqual([
      0,
      'bridge detach --vm-tap web-tap\nbridge detach --vm-tap web-net\n',
    ]);
  });

  test('has nothing to do with other guests and other operations', () => {
    for (const [guest, operation] of [
      ['we', 'started'],
      ['web.', 'release'],
      ['web', 'prepare'],
      ['web', 'migrate'],
    ] as const) {
      expect(hook(guest, operation, xml), `${guest} ${operation}`).toEqual([0, '']);
    }
  });

  test('ends the start of a guest that cannot be protected; a failure does not keep it from cleaning up', () => {
    expect(hook('web', 'started', xml, 1)).toEqual([1, 'bridge attach --vm-tap web-tap --bridge br0\n']);
    expect(hook('web', 'started', '<domain/>')).toEqual([1, '']);
    expect(hook('web', 'release', xml, 1)[1].split('\n')).toHaveLength(3);
  });
});

describe("the command of a libvirt guest's standby", () => {
  /** What virsh prints, shortened. */
  const printed = `LC_ALL=C HOME=/var/lib /usr/bin/qemu-system-x86_64 -name guest=web -S -object '{"qom-type":"secret","id":"masterKey0"}' -machine q35 -chardev socket,id=charmonitor,path=/m.sock,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control -append 'quiet ip4=1' -netdev '{"type":"tap","fd":"27","vhost":true,"id":"hostnet0"}' -device '{"driver":"virtio-net-pci","netdev":"hostnet0"}' -netdev '{"type":"tap","fd":"28","id":"hostnet1"}' -qmp unix:/web.qmp,server=on,wait=off -sandbox on,spawn=deny -msg timestamp=on\n`;

  function standbyCommand(...parameters: readonly string[]): [number | null, string, string] {
    const path = folder.path('virsh-only');
    mkdirSync(path, { recursive: true });
    const text = folder.write('argv', printed);
    folder.write(
      'virsh-only/virsh',
      `#!/bin/sh\n[ "$*" = "-c qemu:///system domxml-to-native qemu-argv --domain web" ] && cat ${text}\n`,
    );
    chmodSync(`${path}/virsh`, 0o755);
    const env = { PATH: `${path}:${process.env.PATH}` };
    const { status, stdout, stderr } = spawnSync(`${DEPLOY}libvirt-standby-command.sh`, parameters, {
      env,
      encoding: 'utf8',
    });
    return [status, stdout, stderr];
  }

  test("is libvirt's without what is libvirt's alone, on other taps", () => {
    const tap = (n: number) => `-netdev tap,id=hostnet${n},ifname=two${n},script=no,downscript=no`;
    expect(standbyCommand('web', 'two0', 'two1')).toEqual([
      0,
      `/usr/bin/qemu-system-x86_64 -name guest=web -machine q35 -append 'quiet ip4=1' ${tap(0)} -device '{"driver":"virtio-net-pci","netdev":"hostnet0"}' ${tap(1)} -msg timestamp=on\n`,
      '',
    ]);
  });

  test('is not printed where a tap is missing, or nothing was named, or there is no such guest', () => {
    expect(standbyCommand('web', 'two0')).toEqual([1, '', 'web has more interfaces than were named here: two0\n']);
    expect(standbyCommand('web')).toEqual([2, '', expect.stringContaining('usage: ')]);
    expect(standbyCommand('db', 'two0').slice(0, 2)).toEqual([1, '']);
  });
});

test('the systemd unit is valid', ({ skip }) => {
  const missing = withoutPrograms('systemd-analyze');
  skip(missing !== null, missing ?? '');
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', `${DEPLOY}holdfast.service`], {
    encoding: 'utf8',
  });
  expect([status, stdout, stderr]).toEqual([0, '', '']);
});
