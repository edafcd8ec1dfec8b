import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { outOfContact } from '../lib/contact.svelte';
import { listen } from './live.svelte';

/** A stream that says what a test has it say, as the browser's own does. */
class Stream extends EventTarget {
  static readonly CLOSED = 2;
  static all: Stream[] = [];
  readyState = 0;
  constructor(readonly url: string) {
    super();
    Stream.all.push(this);
  }
  close(): void {
    this.readyState = Stream.CLOSED;
  }
  say(event: string): void {
    this.dispatchEvent(new MessageEvent(event, { data: '{}' }));
  }
  static get last(): Stream {
    return Stream.all.at(-1)!;
  }
}

let stop: () => void;
const later = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000);

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('EventSource', Stream);
  Stream.all = [];
  stop = listen();
  Stream.last.say('open');
});
afterEach(() => {
  stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a stream that beats is left alone', async () => {
  for (let beat = 0; beat < 10; beat += 1) {
    await later(15);
    Stream.last.say('beat');
  }
  expect(Stream.all).toHaveLength(1);
});

test('a stream that has gone silent without an end is taken for dead and opened anew', async () => {
  await later(26);
  expect(Stream.all.map((it) => it.readyState)).toEqual([Stream.CLOSED, 0]);
  // Nobody answers the next one either.
  await later(26);
  expect(Stream.all).toHaveLength(3);
  Stream.last.say('open');
  expect(outOfContact()).toBe(false);
});

test('a refused stream asks whether the session is over, and tries again', async () => {
  const asked = vi.fn(() => Promise.resolve(new Response('{"user":null}')));
  vi.stubGlobal('fetch', asked);
  Stream.last.readyState = Stream.CLOSED;
  Stream.last.say('error');
  await later(4);
  expect(asked).toHaveBeenCalledWith('/api/v1/session', expect.anything());
  expect(Stream.all).toHaveLength(2);
});

test('what has stopped listening opens nothing', async () => {
  stop();
  await later(60);
  expect(Stream.all).toHaveLength(1);
});
