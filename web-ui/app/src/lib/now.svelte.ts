// What time it is, by the server's clock: the browser's own may be wrong.

let offset = 0;
let current = $state(Date.now());

setInterval(() => {
  current = Date.now() + offset;
}, 1000);

/** Milliseconds UTC, new every second. */
export function now(): number {
  return current;
}

/** The server has just said what time it is there. */
export function serverSays(at: string): void {
  offset = Date.parse(at) - Date.now();
  current = Date.now() + offset;
}
