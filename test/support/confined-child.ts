/** A program for tests: confines itself, opens ports, and tells on stdout what became of it, a JSON line at a time. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { confineProcess, readCapabilities } from '../../gateway/capabilities.ts';
import { LiveClock } from '../../gateway/live-clock.ts';
import type { PacketPort } from '../../gateway/port/packet.ts';

const wanted = JSON.parse(process.argv[2]!) as {
  reads: string[];
  writes: string[];
  ports: string[];
  touch: string | null;
};

function tell(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

function attempt<T>(action: () => T): T | string {
  try {
    return action();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

function threads(): { permitted: string; bounding: string; inheritable: string; noNewPrivileges: boolean }[] {
  return readdirSync('/proc/self/task').map((task) => {
    const sets = readCapabilities(readFileSync(`/proc/self/task/${task}/status`, 'utf8'));
    return {
      permitted: (sets.permitted | sets.effective).toString(16),
      bounding: sets.bounding.toString(16),
      inheritable: (sets.inheritable | sets.ambient).toString(16),
      noNewPrivileges: sets.noNewPrivileges,
    };
  });
}

const confinement = attempt(() => confineProcess(wanted));
const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
await new Promise((resolve) => worker.once('online', resolve));
await readFile('/proc/self/status');
const ports: PacketPort[] = [];
const { PacketPort: Packet } = await import('../../gateway/port/packet.ts');
for (const name of wanted.ports) {
  const port = new Packet(name, new LiveClock());
  port.onLink = () => tell({ port: name, link: port.link, trouble: port.trouble });
  ports.push(port);
}
tell({
  pid: process.pid,
  confinement,
  environment: Object.keys(process.env).filter((name) => name.startsWith('HOLDFAST_CONFINED')),
  threads: threads(),
  read: wanted.reads.map((path) => attempt(() => readFileSync(path, 'utf8'))),
  touched:
    wanted.touch === null
      ? null
      : attempt(() => {
          writeFileSync(wanted.touch!, 'x');
          rmSync(wanted.touch!);
          return 'done';
        }),
  child: readCapabilities(execFileSync('cat', ['/proc/self/status'], { encoding: 'utf8' })).permitted.toString(16),
  links: ports.map(({ name, link }) => [name, link]),
});
createInterface({ input: process.stdin }).once('close', async () => {
  for (const port of ports) port.close();
  await worker.terminate();
  tell({ closed: true });
});
