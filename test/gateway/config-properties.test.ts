import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../gateway/config-file.ts';
import { formatConfigError } from '../../gateway/config-problem.ts';
import { CONFIG_KEYS } from '../../gateway/config-schema.ts';
import { SUPER_FRAME_BYTES } from '../../gateway/port/vnet-header.ts';
import { vmSlabBytes } from '../../gateway/vm-parts.ts';
import { errorsOf, parsed, withVm } from '../support/config.ts';
import { runs, SEED } from '../support/runs.ts';

/** Every word of the language and pieces of YAML, so that what comes of them is often nearly right. */
const PIECE = fc.constantFrom(
  ...Object.values(CONFIG_KEYS).flat(),
  ...[
    'a',
    'tap0',
    'true',
    '64M',
    '12%',
    '127.0.0.1:1',
    '-',
    '?',
    ':',
    ': ',
    '\n',
    '\n  ',
    '\n    ',
    '[',
    ']',
    '{',
    '}',
  ],
  ...[
    ',',
    '"',
    "'",
    '|',
    '>',
    '#',
    '&a ',
    '*a',
    '!t ',
    '%',
    '@',
    '---',
    '...',
    '\t',
    '\0',
    '\ufeff',
    '\u2028',
    '<<',
    '\\',
  ],
);
const TEXT = fc.oneof(
  fc.array(PIECE, { maxLength: 60 }).map((pieces) => pieces.join('')),
  fc.array(PIECE, { maxLength: 20 }).map((pieces) => withVm({ vm: `    ${pieces.join('')}` })),
  fc.string({ unit: 'binary', maxLength: 200 }),
);

describe('whatever stands in a file', () => {
  it('is a configuration, or errors inside the file', () => {
    fc.assert(
      fc.property(TEXT, (text) => {
        const { config, errors } = parseConfig(text, 'h.yaml');
        expect(config === null).toBe(errors.length > 0);
        const lines = text.split('\n');
        for (const error of errors) {
          expect(formatConfigError(error)).toMatch(/^h\.yaml:\d+:\d+: [^\n]+$/);
          if (!('line' in error.place)) throw new Error('an error without a line');
          const line = lines[error.place.line - 1];
          expect(line).toBeDefined();
          expect(error.place.column).toBeGreaterThanOrEqual(1);
          expect(error.place.column).toBeLessThanOrEqual(line!.length + 1);
        }
      }),
      { ...SEED, numRuns: runs(3000) },
    );
  });
});

describe('limits', () => {
  it('are taken exactly where a VM can be made with them', () => {
    const limits = fc.record({
      frames: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 2 ** 32 })),
      bytes: fc.oneof(fc.integer({ min: SUPER_FRAME_BYTES - 5, max: SUPER_FRAME_BYTES + 5 }), fc.nat(2 ** 32)),
      reserve: fc.nat(2 ** 32),
    });
    fc.assert(
      fc.property(limits, ({ frames, bytes, reserve }) => {
        const vm = `    buffer: { frames: ${frames}, bytes: ${bytes}, seal-reserve-bytes: ${reserve} }\n`;
        const all = { limitFrames: frames, limitBytes: bytes, sealReserveFrames: 1024, sealReserveBytes: reserve };
        const shares = { unclassifiedShare: 0.125, behindShare: 0.5 };
        const isFew = frames + 1024 <= 2 ** 24;
        const works =
          isFew && bytes >= SUPER_FRAME_BYTES && vmSlabBytes({ ...all, ...shares }, SUPER_FRAME_BYTES) <= 2 ** 32;
        if (works) expect(parsed(withVm({ vm })).vms[0]!.limits).toEqual({ ...all, ...shares });
        else expect(errorsOf(withVm({ vm }))).toHaveLength(1);
      }),
      { ...SEED, numRuns: runs(300) },
    );
  });
});
