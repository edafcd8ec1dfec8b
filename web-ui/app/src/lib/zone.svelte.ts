// The building's time zone, for everything on the page that shows a time.

let current = $state('Europe/Oslo');

/** IANA name. */
export function zone(): string {
  return current;
}

export function setZone(next: string): void {
  current = next;
}
