// Whether the server answers. The pages keep what they have and say how old it is.
import { now } from './now.svelte';

/** A stream that ends is opened again at once; only a longer silence is worth a word. */
const GRACE_MS = 4000;

let lostSince = $state<number | null>(null);
let lastHeard = $state<number | null>(null);

/** Something came from the server. */
export function heard(): void {
  lostSince = null;
  lastHeard = now();
}

/** A request or the live stream failed. */
export function missed(): void {
  lostSince ??= now();
}

/** Whether to say that there is no contact. */
export function outOfContact(): boolean {
  return lostSince !== null && now() - lostSince >= GRACE_MS;
}

/** From when the figures on the page are. */
export function heardAt(): number | null {
  return lastHeard;
}

/** What the page shows was kept by this browser: nothing is heard, and it is from `at`. */
export function remembered(at: number): void {
  lostSince = at;
  lastHeard = at;
}
