import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { LocalGateway } from '../support/local-gateway.ts';
import { leaveNetns, Netns, noNetnsReason, until } from '../support/netns.ts';

const reason = noNetnsReason();

test('a standby’s port that takes shorter frames than the network sends is told of, once', async ({ skip }) => {
  skip(reason !== null, reason ?? '');
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-narrow-'));
  const netns = new Netns('narrow');
  const gateway = new LocalGateway(folder);
  onTestFinished(async () => {
    await gateway.close();
    leaveNetns();
    netns.delete();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const name of ['tap-a', 'tap-b', 'out']) netns.veth(name, netns, `${name}-far`);
  netns.run('ip', 'link', 'set', 'tap-b', 'mtu', '1400');
  netns.enter();
  await gateway.open('tap-a', 'out');
  const vm = gateway.client.vm('vm0');
  await vm.start();
  expect(gateway.warnings).toEqual([]);
  await vm.failover(0, 'tap-b');
  const message = 'its MTU is 1400, and that of out is 1500: longer frames to the VM are lost (tooLong)';
  await until(() => gateway.warnings.includes(message), 'the warning');
  netns.run('ip', 'link', 'set', 'tap-b', 'down');
  await until(() => gateway.warnings.length > 1, 'the link to be told of');
  // Of a port that is up again its events tell, after the log has been told.
  const up: string[] = [];
  await gateway.client.subscribe(['port'], ({ name, state }) => state === 'up' && up.push(name));
  netns.run('ip', 'link', 'set', 'tap-b', 'up');
  await until(() => up.includes('tap-b'), 'the link to be up again');
  expect(gateway.warnings.filter((told) => told === message)).toHaveLength(1);
});
