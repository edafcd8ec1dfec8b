// The newest values, as the gateway sends them: all at first, then what has changed.
import { parse } from '../lib/api';
import { heard, missed } from '../lib/contact.svelte';
import { serverSays } from '../lib/now.svelte';
import { askWhoIsHere } from './session.svelte';
import type { LiveEntry, LiveEvent, Status } from './wire';

/** How long to wait before a stream that the gateway refused is asked for again. */
const RETRY_MS = 3000;
/**
 * The gateway says something every 15 s at the latest. A pulled cable or a gateway without power ends
 * no connection; this silence is all that is ever heard of it.
 */
const SILENCE_MS = 25_000;

let meters = $state.raw<Record<string, LiveEntry>>({});
let revision = $state(0);
let newest = $state.raw<Status | null>(null);

/** What a meter said last; `undefined` until the first event. */
export function liveMeter(id: string): LiveEntry | undefined {
  return meters[id];
}

/** Grows with every change. */
export function liveRevision(): number {
  return revision;
}

const listeners = new Set<(event: LiveEvent) => void>();

/** Tells every event as it comes, until the returned function is called. */
export function onLive(listener: (event: LiveEvent) => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** How buses, store and cloud are doing; `null` for those who may not see it. */
export function status(): Status | null {
  return newest;
}

/** Listens until the returned function is called. */
export function listen(): () => void {
  let stopped = false;
  let source: EventSource;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let silence: ReturnType<typeof setTimeout> | undefined;

  const open = () => {
    if (stopped) return;
    source = new EventSource('/api/v1/live');
    expectMore();
    source.addEventListener('open', alive);
    source.addEventListener('beat', alive);
    source.addEventListener('live', ({ data }: MessageEvent<string>) => {
      const event = parse(data) as LiveEvent;
      alive();
      serverSays(event.at);
      meters = { ...meters, ...event.meters };
      revision = event.revision;
      for (const listener of listeners) listener(event);
    });
    source.addEventListener('status', ({ data }: MessageEvent<string>) => {
      alive();
      newest = parse(data) as Status;
    });
    source.addEventListener('error', () => {
      missed();
      // The browser opens a broken stream again by itself, but gives up on a refused one: perhaps
      // the session is over.
      if (source.readyState !== EventSource.CLOSED) return;
      clearTimeout(silence);
      void askWhoIsHere();
      retry = setTimeout(open, RETRY_MS);
    });
  };

  const alive = () => {
    heard();
    expectMore();
  };
  const expectMore = () => {
    clearTimeout(silence);
    silence = setTimeout(() => {
      missed();
      source.close();
      open();
    }, SILENCE_MS);
  };

  open();
  return () => {
    stopped = true;
    clearTimeout(retry);
    clearTimeout(silence);
    source.close();
    meters = {};
    newest = null;
  };
}
