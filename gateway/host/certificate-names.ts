import type { X509Certificate } from 'node:crypto';
import { printable } from '../../rules/errors.ts';

/** One name: `DNS:web1`, or with its value as a JSON string where that has characters which would be misread. */
const ALTERNATIVE_NAME = /([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
/** What of a stranger's certificate is written into a log. */
const SHOWN_CHARACTERS = 100;

/**
 * @returns the names by which a certificate's owner is known: URIs and DNS names among the subject's alternative names, as they are
 * written; the common name only where there is none of these (RFC 6125, section 6.4.4), and only if it is a single one
 */
export function namesOf(certificate: X509Certificate): string[] {
  const names = alternativeNames(certificate.subjectAltName ?? '');
  return names.length > 0 ? names : commonNames(certificate);
}

/** @returns how a log calls a certificate's owner, whoever signed it: nothing in it steers a terminal or begins a line */
export function shownNames(certificate: X509Certificate): string {
  const names = namesOf(certificate);
  if (names.length === 0) return 'nobody';
  return printable(names.join(', ').slice(0, SHOWN_CHARACTERS)).replaceAll('\t', ' ');
}

function alternativeNames(text: string): string[] {
  const names: string[] = [];
  for (ALTERNATIVE_NAME.lastIndex = 0; ALTERNATIVE_NAME.lastIndex < text.length; ) {
    const [, kind, value] = ALTERNATIVE_NAME.exec(text) ?? [];
    // What cannot be read to its end is not believed at all.
    if (kind === undefined || value === undefined) return [];
    if (kind === 'DNS' || kind === 'URI') names.push(value.startsWith('"') ? (JSON.parse(value) as string) : value);
  }
  return names;
}

function commonNames(certificate: X509Certificate): string[] {
  const { CN } = certificate.toLegacyObject().subject as unknown as { readonly CN?: string | readonly string[] };
  return typeof CN === 'string' ? [CN] : [];
}
