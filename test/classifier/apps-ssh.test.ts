import { describe, expect, it } from 'vitest';
import { ANSWER } from '../../classifier/apps/recogniser.ts';
import { joined, TCP, times, u32 } from '../support/app-samples.ts';
import { askApp, askCuts } from '../support/ask-app.ts';

describe('app ssh', () => {
  it.each(['SSH-2.0-OpenSSH_9.2p1 Debian\r\n', 'SSH-1.99-x', 'SSH-1.5-1.2.27\n', 'SSH-2.0-~'])('takes %j', (text) => {
    expect(askApp('ssh', text, TCP)).toBe(ANSWER.yes);
  });

  it.each([
    ['another greeting', '220 ready\r\n'],
    ['version 3', 'SSH-3.0-x\r\n'],
    ['version 2.1', 'SSH-2.1-x\r\n'],
    ['version 1 without a minor one', 'SSH-1.-x\r\n'],
    ['a minor version of three digits', 'SSH-1.999-x\r\n'],
    ['small letters', 'ssh-2.0-x\r\n'],
    ['no software', 'SSH-2.0-\r\n'],
    ['a blank for the software', 'SSH-2.0- x\r\n'],
    ['a byte that is not ASCII', 'SSH-2.0-\x7f'],
    ['lines that a server sends before it', 'Welcome\r\nSSH-2.0-x\r\n'],
    ['a segment that ends in SSH', 'SSH'],
    ['a segment that ends in the version', 'SSH-2'],
    ['a segment that ends behind version 1', 'SSH-1.'],
    ['a segment that ends before the dash', 'SSH-1.99'],
    ['a segment that ends behind the dash', 'SSH-2.0-'],
  ])('refuses %s', (_, text) => {
    expect(askApp('ssh', text, TCP)).toBe(ANSWER.no);
  });

  it.each([
    ['SSH_', 4],
    ['SSH-3', 5],
    ['SSH-2.1', 7],
    ['SSH-1.x', 7],
    ['SSH-1.999', 9],
    ['SSH-2.0-\r', 9],
  ])('says no to a cut frame as soon as it disagrees: %j', (text, needed) => {
    const cuts = askCuts('ssh', `${text} and more`, TCP);
    expect(cuts.slice(0, needed)).toEqual(times(needed, ANSWER.unknown));
    expect(new Set(cuts.slice(needed))).toEqual(new Set([ANSWER.no]));
  });

  it('cannot tell the binary packets that follow', () => {
    const keyExchange = joined(u32(300), 8, 20, times(16, 9), u32(40), 'curve25519-sha256');
    expect(askApp('ssh', keyExchange, TCP)).toBe(ANSWER.no);
  });

  it('is not asked of UDP', () => {
    expect(askApp('ssh', 'SSH-2.0-x\r\n')).toBe(ANSWER.no);
  });
});
