// Which buildings are shown, and in which order.
import type { SiteRow, TagRow } from './wire';

export type Need = 'lost' | 'look' | 'ok' | 'waiting';
export const NEEDS: readonly Need[] = ['lost', 'look', 'ok', 'waiting'];

/** How much a building needs somebody. */
export function needOf(site: SiteRow): Need {
  if (site.state === 'released') return 'ok';
  if (site.state === 'late') return 'lost';
  if (site.alarms.length > 0 || site.silent > 0 || site.state === 'incomplete') return 'look';
  return site.state === 'waiting' ? 'waiting' : 'ok';
}

export const ORDERS = ['need', 'name', 'meters', 'whole', 'backlog', 'alarms', 'version'] as const;
export type Order = (typeof ORDERS)[number];

/** Versions by their numbers: 0.10 comes after 0.9. */
const version = (site: SiteRow) =>
  (site.gateway?.version ?? '').replace(/\d+/g, (digits) => digits.padStart(6, '0'));

/** The share of what was expected; what is not known is before all that is. */
function whole({ completeness }: SiteRow): number {
  return completeness && completeness.expected > 0 ? completeness.got / completeness.expected : -1;
}

/** What a column is ordered by, the first to look at first. */
const BEFORE: Record<Order, (a: SiteRow, b: SiteRow) => number> = {
  need: (a, b) => NEEDS.indexOf(needOf(a)) - NEEDS.indexOf(needOf(b)),
  name: () => 0,
  meters: (a, b) => b.meters - a.meters,
  whole: (a, b) => whole(a) - whole(b),
  backlog: (a, b) => (b.backlog ?? -1) - (a.backlog ?? -1),
  alarms: (a, b) => b.alarms.length - a.alarms.length,
  version: (a, b) => (version(a) < version(b) ? -1 : version(a) > version(b) ? 1 : 0),
};

/** Ordered by a column; those that are alike, by name. */
export function ordered(sites: readonly SiteRow[], by: Order, turned: boolean): SiteRow[] {
  const way = turned ? -1 : 1;
  return sites.toSorted(
    (a, b) =>
      way * BEFORE[by](a, b) || (by === 'name' ? way : 1) * a.name.localeCompare(b.name, 'nb'),
  );
}

/** A tag with those that it is a part of. */
export interface Branch {
  tag: TagRow;
  depth: number;
  /** `Midt / Trondheim` */
  path: string;
}

/** The tree from top to bottom. */
export function tree(tags: readonly TagRow[]): Branch[] {
  const known = new Set(tags.map((tag) => tag.id));
  const below = (parent: string | null, depth: number, path: string): Branch[] =>
    tags
      .filter(
        (tag) => (tag.parent !== null && known.has(tag.parent) ? tag.parent : null) === parent,
      )
      .toSorted((a, b) => a.name.localeCompare(b.name, 'nb'))
      .flatMap((tag) => {
        const own = path ? `${path} / ${tag.name}` : tag.name;
        return [{ tag, depth, path: own }, ...below(tag.id, depth + 1, own)];
      });
  return below(null, 0, '');
}

/** Whether `site` has the tag, or one that is a part of it. */
export function isWithin(site: { tags: string[] }, tag: string, tags: readonly TagRow[]): boolean {
  const parent = new Map(tags.map((it) => [it.id, it.parent]));
  return site.tags.some((own) => {
    // A tree has six levels.
    let at: string | null | undefined = own;
    for (let level = 0; at && level < 6; level += 1) {
      if (at === tag) return true;
      at = parent.get(at);
    }
    return false;
  });
}

/** Those in which every word of `words` is found: in name, place, version or tags. */
export function searched(
  sites: readonly SiteRow[],
  words: string,
  tags: readonly TagRow[],
): SiteRow[] {
  const wanted = words.toLocaleLowerCase('nb').split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return [...sites];
  const path = new Map(tree(tags).map((it) => [it.tag.id, it.path]));
  return sites.filter((site) => {
    const own = site.tags.map((id) => path.get(id) ?? '');
    const text = [site.name, site.place ?? '', site.gateway?.version ?? '', ...own].join(' ');
    const lower = text.toLocaleLowerCase('nb');
    return wanted.every((word) => lower.includes(word));
  });
}
