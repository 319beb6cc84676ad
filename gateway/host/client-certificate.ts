import { constants, type X509Certificate } from 'node:crypto';
import type { TLSSocket } from 'node:tls';

const HANDSHAKE_MS = 5000;

/** Of whoever serves clients with certificates. */
export const TLS_SETTINGS = {
  minVersion: 'TLSv1.2',
  requestCert: true,
  // Looked at in `whyRefused`, which can say what is wrong; Node itself would only hang up.
  rejectUnauthorized: false,
  handshakeTimeout: HANDSHAKE_MS,
  // A session that is resumed would bring a certificate along that nobody looks at again.
  secureOptions: constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION,
} as const;

/** X509_V_ERR_* (openssl-verify), as Node names them. */
const REASONS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'it has expired',
  CERT_NOT_YET_VALID: 'it is not valid yet',
  CERT_REVOKED: 'it is revoked',
  SELF_SIGNED_CERT_IN_CHAIN: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT: 'its authority is not known here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its authority is not known here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its authority is not known here',
  UNABLE_TO_GET_CRL: 'its authority is not known here, or has no revocation list',
  CRL_HAS_EXPIRED: 'the revocation list has expired',
  CRL_NOT_YET_VALID: 'the revocation list is not valid yet',
  INVALID_PURPOSE: 'it is not for clients',
};

/**
 * @param known the client's names that are configured
 * @returns why a client is not let in that has shown this certificate; null: it is let in
 */
export function whyRefused(
  socket: TLSSocket,
  certificate: X509Certificate | undefined,
  known: readonly string[],
): string | null {
  if (certificate === undefined) return 'there is none';
  if (!socket.authorized) {
    // OpenSSL may find something else wrong with it first.
    if (isSelfSigned(certificate)) return 'it is self-signed';
    const code = String(socket.authorizationError);
    return REASONS[code] ?? code;
  }
  if (socket.isSessionReused()) return 'it was shown in another session';
  if (known.length === 0) return "none of 'clients' has its name";
  return known.length > 1 ? `it is more than one of 'clients': ${known.join(', ')}` : null;
}

function isSelfSigned(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate) && certificate.verify(certificate.publicKey);
}
