// The last state, kept by this browser, so that the pages show it when the gateway is gone: who was
// here, the building, the overview. It is marked as old wherever it shows, and forgotten with the
// session: at a log-out nothing of the building stays behind.
import { now } from '../lib/now.svelte';

export type KeptName = 'session' | 'site' | 'overview' | 'flow';

const NAMES: readonly KeptName[] = ['session', 'site', 'overview', 'flow'];
const place = (name: KeptName | 'at') => `fyrhus.last.${name}`;

/** Keeps what has just come, and gives it back. */
export function keep<T>(name: KeptName, value: T): T {
  try {
    // Integers beyond 2^53 are kept as text; whoever reads a mantissa takes both.
    const text = JSON.stringify(value, (_key, it: unknown) =>
      typeof it === 'bigint' ? it.toString() : it,
    );
    localStorage.setItem(place(name), text);
    if (name === 'overview') localStorage.setItem(place('at'), String(now()));
  } catch {
    // The browser has no room or keeps nothing: then there is no last state, and all else works.
  }
  return value;
}

/** What was kept last. */
export function kept<T>(name: KeptName): T | null {
  try {
    return JSON.parse(localStorage.getItem(place(name)) ?? 'null') as T | null;
  } catch {
    return null;
  }
}

/** From when the overview is. */
export function keptAt(): number | null {
  try {
    const at = Number(localStorage.getItem(place('at')));
    return at > 0 ? at : null;
  } catch {
    return null;
  }
}

/** Nothing stays behind. */
export function forget(): void {
  try {
    for (const name of [...NAMES, 'at'] as const) localStorage.removeItem(place(name));
  } catch {
    // A browser that keeps nothing has nothing to forget.
  }
}
