// Who is logged in at the portfolio.
import { ask } from '../lib/api';
import type { Ability } from '../lib/wire';
import type { Session } from './wire';

let current = $state.raw<Session | null>(null);
let over = $state(false);

/** `null` until the portfolio has said. */
export function session(): Session | null {
  return current;
}

/** Whether the portfolio ended the session of whoever sits here, rather than they themselves. */
export function sessionIsOver(): boolean {
  return over;
}

/** Whether whoever is logged in may do this. */
export function can(ability: Ability): boolean {
  return current?.can.includes(ability) ?? false;
}

/** Takes over what a login, a claim or a look at the session answered. */
export function enter(next: Session): void {
  current = next;
  over = false;
}

/** Asks the portfolio who is logged in. */
export async function loadSession(): Promise<void> {
  enter(await ask<Session>('/session'));
}

/** The portfolio has ended the session. */
export function loggedOut(): void {
  if (!current?.user) return;
  current = { ...current, user: null, can: [] };
  over = true;
}

/** Ends the session. */
export async function logOut(): Promise<void> {
  await ask('/session', { method: 'DELETE' });
  await loadSession();
}
