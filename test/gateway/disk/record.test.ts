import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeHeader, encodeHeader, HEADER_BYTES, RECORD, type RecordType } from '../../../gateway/disk/record.ts';

const TAG = Buffer.from('8 bytes!');

function header(type: number, b: number, payloadBytes = 0): Buffer {
  const record = { type: type as RecordType, flags: 1, sequence: 7, synced: 5, a: 2 ** 43, b };
  return encodeHeader(TAG, record, payloadBytes === 0 ? [] : [Buffer.alloc(payloadBytes)]);
}

describe('a record', () => {
  it('is read as it was written, also where its payload is the longest or in pieces', () => {
    const longest = 32 * 2 ** 20;
    expect(decodeHeader(TAG, header(RECORD.write, longest, longest))).toMatchObject({ payloadBytes: longest });
    expect(decodeHeader(TAG, header(RECORD.stop, 3))).toEqual({
      ...{ type: RECORD.stop, flags: 1, sequence: 7, synced: 5, a: 2 ** 43, b: 3, payloadBytes: 0, payloadCrc: 0 },
    });
    const pieces = [Buffer.from('one'), Buffer.from('two')];
    const bytes = encodeHeader(TAG, { type: RECORD.write, flags: 0, sequence: 1, synced: 0, a: 0, b: 6 }, pieces);
    expect(decodeHeader(TAG, Buffer.concat([Buffer.alloc(9), bytes]), 9)!.payloadCrc).toBe(crc32('onetwo'));
  });

  it('is none with any other bit, tag, type, or length of its payload', () => {
    const good = header(RECORD.write, 4, 4);
    for (let bit = 0; bit < 8 * HEADER_BYTES; bit++) {
      const bytes = Buffer.from(good);
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      expect(decodeHeader(TAG, bytes), `bit ${bit}`).toBeNull();
    }
    expect(decodeHeader(Buffer.from('8 other!'), good)).toBeNull();
    expect(decodeHeader(TAG, good.subarray(0, HEADER_BYTES - 1))).toBeNull();
    for (const bytes of [header(0, 0), header(9, 0), header(RECORD.write, 5, 4), header(RECORD.zero, 4, 4)]) {
      expect(decodeHeader(TAG, bytes)).toBeNull();
    }
    expect(decodeHeader(TAG, header(RECORD.write, 2 ** 25 + 1, 2 ** 25 + 1))).toBeNull();
  });
});
