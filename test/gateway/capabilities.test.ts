import { expect, test } from 'vitest';
import { CAPABILITY, hasCapability, readCapabilities } from '../../gateway/capabilities.ts';

const STATUS = `Name:	node
Uid:	0	0	0	0
CapInh:	0000000000000001
CapPrm:	000001ffffffffff
CapEff:	0000000000003000
CapBnd:	0000000000002000
CapAmb:	8000000000000000
NoNewPrivs:	1
Seccomp:	0
`;

test('the masks are read as the kernel writes them, whatever their width', () => {
  expect(readCapabilities(STATUS)).toEqual({
    permitted: 2n ** 41n - 1n,
    effective: 0x3000n,
    inheritable: 1n,
    bounding: 0x2000n,
    ambient: 2n ** 63n,
    noNewPrivileges: true,
  });
});

test('what the kernel does not say is not there', () => {
  const none = { permitted: 0n, effective: 0n, inheritable: 0n, bounding: 0n, ambient: 0n, noNewPrivileges: false };
  expect(readCapabilities('')).toEqual(none);
  expect(readCapabilities('NoNewPrivs:\t0\nXCapPrm:\t1\n')).toEqual(none);
});

test('a thread has what is effective, not what it could make so', () => {
  const sets = readCapabilities(STATUS);
  expect(hasCapability(sets, CAPABILITY.netAdmin)).toBe(true);
  expect(hasCapability(sets, CAPABILITY.netRaw)).toBe(true);
  expect(hasCapability(sets, CAPABILITY.sysAdmin)).toBe(false);
});
