// Addresses of pages. The address holds what is seen: page, period, filter; back and links work.

export interface Place {
  path: string;
  query: URLSearchParams;
}

function here(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

let current = $state.raw<Place>(here());
let leaving: (() => boolean) | null = null;

/** Where the page is. */
export function place(): Place {
  return current;
}

/** Goes to another page of this program, as a link does. */
export function go(href: string): void {
  if (!mayLeave()) return;
  history.pushState(null, '', href);
  arrive();
}

/** Changes what the address says of this page, without a step for the back button. */
export function note(changes: Record<string, string | null>): void {
  const query = new URLSearchParams(location.search);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) query.delete(key);
    else query.set(key, value);
  }
  history.replaceState(null, '', withQuery(location.pathname, query));
  current = here();
}

/** The address of this page with some of its query changed. */
export function addressWith(changes: Record<string, string | null>): string {
  const query = new URLSearchParams(current.query);
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) query.delete(key);
    else query.set(key, value);
  }
  return withQuery(current.path, query);
}

/** Asks `question` before the page is left; `null` asks no more. One page at a time. */
export function askBeforeLeaving(question: (() => boolean) | null): void {
  leaving = question;
}

/** Follows links inside this program without loading it anew. Returns how to stop. */
export function startRouter(): () => void {
  const click = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = event.target instanceof Element ? event.target.closest('a') : null;
    if (!link?.href || link.target || link.hasAttribute('download')) return;
    const url = new URL(link.href);
    if (url.origin !== location.origin || url.pathname.startsWith('/api/') || url.hash) return;
    event.preventDefault();
    go(url.pathname + url.search);
  };
  const back = () => {
    const before = current.path;
    current = here();
    if (current.path !== before) focusPage();
  };
  const unload = (event: BeforeUnloadEvent) => {
    if (leaving) event.preventDefault();
  };
  document.addEventListener('click', click);
  window.addEventListener('popstate', back);
  window.addEventListener('beforeunload', unload);
  return () => {
    document.removeEventListener('click', click);
    window.removeEventListener('popstate', back);
    window.removeEventListener('beforeunload', unload);
  };
}

function mayLeave(): boolean {
  if (leaving && !leaving()) return false;
  leaving = null;
  return true;
}

function arrive(): void {
  const before = current.path;
  current = here();
  // A new page begins at its top; another period of the same page stays where it is.
  if (current.path === before) return;
  scrollTo(0, 0);
  focusPage();
}

/** The link that was followed may be gone: keys and readers go on at the page's beginning. */
function focusPage(): void {
  document.getElementById('main')?.focus({ preventScroll: true });
}

function withQuery(path: string, query: URLSearchParams): string {
  const text = query.toString();
  return text ? `${path}?${text}` : path;
}
