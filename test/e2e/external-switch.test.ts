/** A switch elsewhere: the host drives it over a management link, with certificates; an application in the VM has a socket of its own. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { HostClient } from '../../gateway/host/client.ts';
import { RequestError } from '../../gateway/host/protocol.ts';
import { Authority, type CertificateFiles } from '../support/certificates.ts';
import { refusalOf } from '../support/host-rig.ts';
import { GUEST, LiveScene, NETWORK, type RunningGateway } from '../support/live-scene.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';
import { HOLDFAST } from '../support/run-cli.ts';
import { UdpHand } from '../support/udp-hand.ts';

const reason = noNetnsReason('sysctl', 'openssl');
const SWITCH = '10.78.0.1';
const HOST = '10.78.0.2';
const TLS_PORT = 9443;
const DECLARED = 7000;
const CONTROL = 7001;
const MEDIA = 40_000;
const RULES = `class data pass
class control hold
set media { type ipv4_addr . inet_service; flags timeout; timeout 60s }
outbound {
  ip saddr . udp sport @media class data
  udp dport ${DECLARED} declared class data
  ether type arp class data
  default class control
}`;

let scene: LiveScene;
let host: Netns;
let authority: Authority;
let control: CertificateFiles;
let gateway: RunningGateway;
const hands: UdpHand[] = [];
const clients: HostClient[] = [];

beforeEach(async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  scene = new LiveScene();
  scene.addAddresses(false);
  scene.introduce();
  host = new Netns('host');
  host.veth('mgmt', scene.gateway, 'mgmt');
  host.run('ip', 'addr', 'add', `${HOST}/24`, 'dev', 'mgmt');
  scene.gateway.run('ip', 'addr', 'add', `${SWITCH}/24`, 'dev', 'mgmt');
  authority = new Authority(`${scene.folder}/authority`);
  const own = authority.issue({ names: 'DNS:switch.example' });
  control = authority.issue({ names: 'DNS:host1.example' });
  authority.writeRevoked(`${scene.folder}/revoked.pem`);
  const config = `control: ${scene.control}
vms:
  web1: { inside: inside, outside: outside, rules: ${scene.file('web1.rules', RULES)} }
  web2: { inside: "stream-listen:unix:${scene.folder}/in", outside: "stream-listen:unix:${scene.folder}/out" }
listen:
  - { unix: ${scene.folder}/web1-guest, role: guest, vms: web1 }
  - tls: ${SWITCH}:${TLS_PORT}
    cert: ${own.cert}
    key: ${own.key}
    ca: ${authority.cert}
    crl: ${scene.folder}/revoked.pem
    clients:
      host1.example: { role: epochs, vms: web1 }
      host2.example: { role: epochs, vms: web2 }
`;
  gateway = scene.startWith('--config', scene.file('switch.yaml', config));
  await gateway.says('ready');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  for (const hand of hands.splice(0)) hand.close();
  host?.delete();
  await scene?.delete();
});

function hand(netns: Netns, address: string, port: number): UdpHand {
  const made = new UdpHand(netns, address, port);
  hands.push(made);
  return made;
}

/** A control module in the host's namespace. */
async function moduleWith(files: CertificateFiles): Promise<HostClient> {
  const tls = { host: SWITCH, port: TLS_PORT, ...files, ca: authority.cert, servername: 'switch.example' };
  const client = new HostClient({ tls, client: 'control module', mustBeThere: true });
  clients.push(client);
  host.enter();
  try {
    const connected = client.connect();
    connected.catch(() => {});
    // Node makes the socket a tick later.
    await new Promise((resolve) => setImmediate(resolve));
    leaveNetns();
    await connected;
  } finally {
    leaveNetns();
  }
  return client;
}

async function arrives(at: UdpHand, ...texts: string[]): Promise<void> {
  const got: string[] = [];
  await until(() => {
    got.push(...at.take());
    return got.length >= texts.length;
  }, texts.join(' '));
  expect(got).toEqual(texts);
}

async function holds(client: HostClient, frames: number): Promise<void> {
  for (;;) {
    const [vm] = (await client.call('status', {})).vms;
    if (vm!.heldFrames >= frames) break;
  }
}

test('the host declares flows and drives epochs over TLS, and no frame leaves otherwise', async () => {
  const client = await moduleWith(control);
  const guest = hand(scene.guest, GUEST.ip4, 6000);
  const [declared, other] = [hand(scene.network, NETWORK.ip4, DECLARED), hand(scene.network, NETWORK.ip4, CONTROL)];
  const vm = client.vm('web1');
  await vm.start({ leaseMs: 60_000 });
  guest.send(NETWORK.ip4, DECLARED, 'before it is declared');
  guest.send(NETWORK.ip4, CONTROL, 'control');
  await holds(client, 2);
  const flow = { src: GUEST.ip4, dst: NETWORK.ip4, protocol: 'udp', srcPort: 6000, dstPort: DECLARED } as const;
  await client.call('flow.declare', { vm: 'web1', flow, class: 'data', timeoutMs: 60_000 });
  guest.send(NETWORK.ip4, DECLARED, 'declared');
  await arrives(declared, 'declared');
  await vm.seal();
  guest.send(NETWORK.ip4, CONTROL, 'of the next epoch');
  await holds(client, 3);
  expect(other.take()).toEqual([]);
  expect(await vm.commit(1)).toMatchObject({ releasedFrames: 2 });
  await arrives(other, 'control');
  await arrives(declared, 'before it is declared');
  // What was declared ends with the host's connection.
  client.close();
  const again = await moduleWith(control);
  await again.vm('web1').attach();
  guest.send(NETWORK.ip4, DECLARED, 'nobody declares it any more');
  await holds(again, 2);
  expect(declared.take()).toEqual([]);
});

test('an application in the VM adds its media port, and its stream is data from the next frame on', async () => {
  const client = await moduleWith(control);
  await client.vm('web1').start({ leaseMs: 60_000 });
  const media = hand(scene.guest, GUEST.ip4, MEDIA);
  const phone = hand(scene.network, NETWORK.ip4, MEDIA);
  media.send(NETWORK.ip4, MEDIA, 'before');
  await holds(client, 1);
  const application = new HostClient({ path: `${scene.folder}/web1-guest`, client: 'SIP server' });
  clients.push(application);
  const elements = [`${GUEST.ip4} . ${MEDIA}`];
  expect(await application.call('set.add', { set: 'media', elements })).toEqual({ added: 1, refused: 0 });
  media.send(NETWORK.ip4, MEDIA, 'first');
  await arrives(phone, 'first');
  await application.call('set.delete', { set: 'media', elements });
  media.send(NETWORK.ip4, MEDIA, 'after');
  await holds(client, 2);
  expect(phone.take()).toEqual([]);
  const { classes } = (await client.call('status', {})).vms[0]!;
  expect(classes.find((one) => one.class === 'control')).toMatchObject({ frames: 2 });
  // It has to do with its own VM and with nothing but its sets and flows.
  expect((await application.connect()).vms.map(({ vm }) => vm)).toEqual(['web1']);
  const refusals = [
    await refusalOf(application, 'set.list', { vm: 'web2' }),
    await refusalOf(application, 'replication.stop', { vm: 'web1', term: 1, held: 'release' }),
    await refusalOf(application, 'rules.add', { rule: 'pass' }),
  ];
  expect(refusals.map(({ code }) => code)).toEqual(['forbidden', 'forbidden', 'forbidden']);
});

test("another host's certificate neither sees nor touches the VM, one that is revoked gets nowhere", async () => {
  const files = authority.issue({ names: 'DNS:host2.example' });
  const other = await moduleWith(files);
  expect((await other.connect()).vms.map(({ vm }) => vm)).toEqual(['web2']);
  await expect(other.vm('web1').start()).rejects.toBeInstanceOf(RequestError);
  const ask = (who: CertificateFiles) => {
    const env = [`HOLDFAST_TLS_CERT=${who.cert}`, `HOLDFAST_TLS_KEY=${who.key}`, `HOLDFAST_TLS_CA=${authority.cert}`];
    return host.run(
      'env',
      ...env,
      process.execPath,
      HOLDFAST,
      'status',
      '--json',
      '--control',
      `tls:${SWITCH}:${TLS_PORT}`,
    );
  };
  // The command knows the switch by its address, which its certificate has not.
  expect(() => ask(files)).toThrow(/ERR_TLS_CERT_ALTNAME_INVALID/);
  authority.revoke(files);
  authority.writeRevoked(`${scene.folder}/revoked.pem`);
  await until(() => gateway.stderr.includes('certificates were read anew'), 'the list to be read');
  for (let i = 0; i < 2; i++) await expect(moduleWith(files)).rejects.toMatchObject({ code: 'unreachable' });
  // Once, however often it comes.
  const told = () => gateway.stderr.split('refused: it is revoked').length - 1;
  await until(() => told() > 0, 'the gateway to say why');
  expect(told()).toBe(1);
  expect((await (await moduleWith(control)).connect()).vms.map(({ vm }) => vm)).toEqual(['web1']);
});
