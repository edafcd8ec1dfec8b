// Keeps the pages themselves in the browser, so that they open without the gateway and show the last
// state, marked as old. It never keeps an answer of the API: what is shown as new is new.
//
// The build fills in the files; other files are another cache, and the one before goes.
const FILES = __FILES__;
const CACHE = `fyrhus-${__HASH__}`;
/** A gateway without power does not even refuse. */
const PATIENCE_MS = 5000;

self.addEventListener('install', (event) => {
  const fill = async () => {
    const cache = await caches.open(CACHE);
    await cache.addAll(['/', ...FILES]);
    await self.skipWaiting();
  };
  event.waitUntil(fill());
});

self.addEventListener('activate', (event) => {
  const tidy = async () => {
    const names = await caches.keys();
    await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
    await self.clients.claim();
  };
  event.waitUntil(tidy());
});

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (url.pathname.startsWith('/api/')) return;
  if (request.mode === 'navigate') event.respondWith(page(request));
  else if (url.pathname.startsWith('/assets/')) event.respondWith(asset(request));
});

/** The gateway's page if it answers, else the one that was kept. */
async function page(request) {
  try {
    return await fetch(request, { signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    return (await caches.match('/')) ?? Response.error();
  }
}

/** A name with a hash never changes. */
async function asset(request) {
  return (await caches.match(request)) ?? fetch(request);
}
