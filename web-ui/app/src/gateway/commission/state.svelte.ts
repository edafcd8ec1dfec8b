// How far commissioning is, as the gateway keeps it: every phone that looks sees the same.
import { ask, Problem, send } from '../../lib/api';
import { loadSite } from '../session.svelte';
import type { Commission } from '../wire';

export const STEPS = [
  'claim',
  'site',
  'buses',
  'scan',
  'meters',
  'plates',
  'checks',
  'cloud',
  'report',
] as const;
export type Step = (typeof STEPS)[number];

/** How often a phone looks what another one has done, and what the meters say. */
const LOOK_EVERY_MS = 5000;

let current = $state.raw<Commission | null>(null);
let failed = $state.raw<Problem | null>(null);
let acting = $state(0);
let turn = 0;

/** `null` until the gateway has said. */
export function commission(): Commission | null {
  return current;
}

/** What went wrong last; `null` once something went well again. */
export function wrong(): Problem | null {
  return failed;
}

/** Whether something is being kept. */
export function saving(): boolean {
  return acting > 0;
}

function take(next: Commission) {
  const sites = current?.version !== next.version;
  current = next;
  if (sites) void loadSite();
}

/** Looks at once, and then now and then, until the returned function is called. */
export function look(): () => void {
  const once = async () => {
    const mine = turn;
    try {
      const next = await ask<Commission>('/commission');
      // What was asked before something changed is older than that.
      if (mine === turn && acting === 0) take(next);
      if (failed?.code === 'unreachable') failed = null;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      if (current === null) failed = error;
    }
  };
  void once();
  const timer = setInterval(() => void once(), LOOK_EVERY_MS);
  return () => clearInterval(timer);
}

/** Has the gateway change something, and shows what it came to. Whether it went well. */
export async function act(
  path: string,
  method: 'POST' | 'PUT' | 'DELETE',
  json?: unknown,
): Promise<boolean> {
  return acted(() =>
    ask<Commission>(`/commission${path}`, { method, ...(json === undefined ? {} : { json }) }),
  );
}

/** The same with a photo. */
export async function actWithPhoto(path: string, photo: Blob): Promise<boolean> {
  return acted(async () => {
    const text = { type: 'image/jpeg', body: photo };
    const answer = await send(`/commission${path}`, { method: 'POST', text });
    return (await answer.json()) as Commission;
  });
}

async function acted(change: () => Promise<Commission>): Promise<boolean> {
  acting += 1;
  turn += 1;
  try {
    take(await change());
    failed = null;
    return true;
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    failed = error;
    return false;
  } finally {
    acting -= 1;
    turn += 1;
  }
}

/** Says what went wrong beside these acts. */
export function fail(problem: Problem | null): void {
  failed = problem;
}
