import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { namesOf, shownNames } from '../../../gateway/host/certificate-names.ts';
import { selfSigned } from '../../support/certificates.ts';
import { withoutPrograms } from '../../support/programs.ts';

const reason = withoutPrograms('openssl');
let where: string;

beforeEach(({ skip }) => {
  skip(reason !== null, reason ?? '');
  where = mkdtempSync(join(tmpdir(), 'holdfast-names-'));
});
afterEach(() => {
  if (reason === null) rmSync(where, { recursive: true });
});

it("what a stranger's certificate calls its owner steers no terminal and begins no line", () => {
  const name = 'a\u001b[2Jb\nc\rd\te\u0007f\u007fg';
  const certificate = new X509Certificate(readFileSync(selfSigned(where, `/CN=${name}`).cert));
  expect(namesOf(certificate)).toEqual([name]);
  expect(shownNames(certificate)).toBe('a?[2Jb?c?d e?f?g');
});
