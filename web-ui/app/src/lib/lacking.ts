// Whether passkeys work here, as far as a page can tell; how they work is in passkey.ts.

/** Why this browser offers no passkey at this address. */
export type Lacking = 'address' | 'plain' | 'browser';

/** `null` where passkeys work, as far as a page can tell: whether the certificate is trusted it cannot. */
export function lacking(): Lacking | null {
  const { hostname } = location;
  if (/^[\d.]+$/.test(hostname) || hostname.startsWith('[')) return 'address';
  if (!window.isSecureContext) return 'plain';
  return 'PublicKeyCredential' in window ? null : 'browser';
}
