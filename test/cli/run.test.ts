import { expect, it } from 'vitest';
import { holdfast, temporaryFolder } from '../support/run-cli.ts';

const files = temporaryFolder();

it('tells in one line that another file stands where the control socket should be', async () => {
  const control = files.write('precious', 'x');
  const ports = ['in', 'out'].flatMap((name) => [`--${name}side`, `stream-listen:unix:${files.path(name)}`]);
  const { code, stderr } = await holdfast(['run', ...ports, '--control', control, '--log-level', 'error']);
  expect(stderr).toBe(`holdfast: ${control} is there and is no socket\n`);
  expect(code).toBe(2);
});

it('names a certificate that it cannot read, and why', async () => {
  const control = files.path('control');
  const ports = `inside: "stream-listen:unix:${files.path('in')}", outside: "stream-listen:unix:${files.path('out')}"`;
  const clients = 'clients: {x: {role: all, vms: a}}';
  const listen = `listen: [{tls: "127.0.0.1:0", cert: gone.pem, key: gone.pem, ca: gone.pem, ${clients}}]`;
  const text = `control: ${control}\nlog: {level: error}\nvms: {a: {${ports}}}\n${listen}\n`;
  const { code, stderr } = await holdfast(['run', '--config', files.write('tls.yaml', text)]);
  expect(stderr).toBe(`holdfast: ${files.path('gone.pem')}: cannot be read: there is no such file\n`);
  expect(code).toBe(2);
});
