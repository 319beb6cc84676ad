import { describe, expect, test } from 'vitest';
import { PortError } from '../../../gateway/port/port-error.ts';
import { parsePortSpec, portSpecText } from '../../../gateway/port/spec.ts';

test.each([
  ['tap0', { backend: 'packet', arg: 'tap0' }],
  ['ring:tap0', { backend: 'ring', arg: 'tap0' }],
  ['pcap:eth0', { backend: 'pcap', arg: 'eth0' }],
  ['ip:tun0', { backend: 'ip', arg: 'tun0' }],
  ['xdp:tap0', { backend: 'xdp', arg: 'tap0' }],
  ['xdp:tap0,busy-poll', { backend: 'xdp', arg: 'tap0', options: ['busy-poll'] }],
  ['xdp:tap0,skb,busy-poll', { backend: 'xdp', arg: 'tap0', options: ['skb', 'busy-poll'] }],
  ['stream:unix:/run/vm.sock', { backend: 'stream', arg: 'unix:/run/vm.sock' }],
] as const)('%s is read, and written as it can be read again', (text, spec) => {
  expect(parsePortSpec(text)).toEqual(spec);
  expect(parsePortSpec(portSpecText(spec))).toEqual(spec);
});

describe('what is no port', () => {
  test.each([
    ['xdp:tap0,fast', "an xdp port has no 'fast', only native, skb, busy-poll"],
    ['xdp:tap0,native,skb', 'an xdp port is in native mode or in skb mode'],
    ['xdp:,skb', "what is behind 'xdp:' is missing"],
    ['ring:', "what is behind 'ring:' is missing"],
    ['dpdk:0', "there is no port 'dpdk'"],
  ])('%s is refused with what is wrong', (text, why) => {
    expect(() => parsePortSpec(text)).toThrow(PortError);
    expect(() => parsePortSpec(text)).toThrow(why);
  });
});
