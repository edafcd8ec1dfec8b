// Who is logged in, and at which building.
import { ask, Problem } from '../lib/api';
import { setZone } from '../lib/zone.svelte';
import type { Ability } from '../lib/wire';
import { remembered } from '../lib/contact.svelte';
import { forget, keep, kept, keptAt } from './kept';
import type { Session, Site } from './wire';

let current = $state.raw<Session | null>(null);
let over = $state(false);
let building = $state.raw<Site | null>(null);

/** `null` until the gateway has said. */
export function session(): Session | null {
  return current;
}

/** Whether the gateway ended the session of whoever sits here, rather than they themselves. */
export function sessionIsOver(): boolean {
  return over;
}

/** The building; `null` until somebody is logged in. */
export function site(): Site | null {
  return building;
}

/** Whether whoever is logged in may do this. */
export function can(ability: Ability): boolean {
  return current?.can.includes(ability) ?? false;
}

/** Takes over what a login, a claim or a look at the session answered. */
export async function enter(next: Session): Promise<void> {
  // The building first, so that no page shows a time of another zone.
  if (next.user) {
    // What somebody else has left is not theirs.
    if (kept<Session>('session')?.user?.name !== next.user.name) forget();
    await loadSite();
    keep('session', next);
  } else forget();
  current = next;
  over = false;
}

/** Takes up the last state that this browser has kept. Whether there was one. */
export function enterKept(): boolean {
  const [last, place, at] = [kept<Session>('session'), kept<Site>('site'), keptAt()];
  if (!last?.user || !place || at === null) return false;
  setZone(place.time_zone);
  building = place;
  current = last;
  remembered(at);
  return true;
}

/** Asks the gateway who is logged in. */
export async function loadSession(): Promise<void> {
  await enter(await ask<Session>('/session'));
}

/** Asks whether the session is still there, where another refusal may mean that it is not. */
export async function askWhoIsHere(): Promise<void> {
  try {
    const { user } = await ask<Session>('/session');
    if (!user) loggedOut();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
  }
}

/** Asks for the building again: after another configuration. */
export async function loadSite(): Promise<void> {
  const next = await ask<Site>('/site');
  setZone(next.time_zone);
  building = keep('site', next);
}

/** The gateway has ended the session. */
export function loggedOut(): void {
  forget();
  if (!current?.user) return;
  current = { ...current, user: null, can: [] };
  over = true;
}

/** Ends the session. */
export async function logOut(): Promise<void> {
  await ask('/session', { method: 'DELETE' });
  await loadSession();
}
