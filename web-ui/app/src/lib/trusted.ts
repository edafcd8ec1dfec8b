// Whether the browser trusts the certificate that the pages came with. It tells nobody; but a page that it
// does not trust gets no service worker, though the user has gone on past the warning.

/** `null` where the browser does not tell. */
export async function trusted(): Promise<boolean | null> {
  if (!window.isSecureContext) return false;
  if (!('serviceWorker' in navigator)) return null;
  // While the pages are being written there is none to take.
  if (!import.meta.env.PROD) return null;
  try {
    await navigator.serviceWorker.register('/sw.js');
    return true;
  } catch (error) {
    return error instanceof DOMException && error.name === 'SecurityError' ? false : null;
  }
}
