// The fingerprint of a certificate as people compare it.

/** In groups of four that stay on one line, as they are easiest to compare with a label. */
export const inFours = (fingerprint: string): string =>
  fingerprint.replaceAll(':', '\u00a0').replace(/((?:\S\S\s){3}\S\S)\s/g, '$1 · ');
