// Coming in by a link, whose secret stands behind the # and is nowhere afterwards.
import { ask, Problem } from './api';

/** What the link let in as, or why it did not; `null` if nobody came by one. */
export async function comeByLink<Session>(
  isKnown: boolean,
): Promise<{ session: Session } | { problem: Problem } | null> {
  const secret = location.hash.slice(1);
  if (!secret.startsWith('fyl_')) return null;
  history.replaceState(null, '', location.pathname + location.search);
  // Who is somebody already does not become a guest.
  if (isKnown) return null;
  try {
    const json = { link: secret };
    return { session: await ask<Session>('/session/link', { method: 'POST', json }) };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { problem: error };
  }
}
