import { expect, test } from 'vitest';
import { isWithin, ordered, searched, tree } from './fleet';
import type { SiteRow, TagRow } from './wire';

const tag = (id: string, parent: string | null, name = id) => ({ id, parent, name }) as TagRow;
const TAGS = [tag('t', 'm', 'Trondheim'), tag('m', null, 'Midt'), tag('b', null, 'Boliger')];

function site(name: string, more: Partial<SiteRow> = {}): SiteRow {
  const gateway = { id: name, enrolled_at: '', certificate_until: null, version: '0.9.0' };
  return {
    ...{ id: name, name, place: null, gateway, state: 'ok', backlog: 0, meters: 1, silent: 0 },
    ...{ completeness: null, alarms: [], tags: [] },
    ...more,
  } as unknown as SiteRow;
}
const names = (sites: SiteRow[]) => sites.map((it) => it.name).join(' ');

test('versions are ordered by their numbers, and what is not known comes first', () => {
  const gateway = (version: string | null) => ({ gateway: { ...site('x').gateway!, version } });
  const all = [site('a', gateway('0.10.0')), site('b'), site('c', gateway(null))];
  expect(names(ordered(all, 'version', false))).toBe('c b a');
  expect(names(ordered(all, 'version', true))).toBe('a b c');
});

test('those alike are ordered by name, whichever way the column is turned', () => {
  const all = [site('å'), site('b', { backlog: 9 }), site('a'), site('c', { backlog: null })];
  expect(names(ordered(all, 'backlog', false))).toBe('b a å c');
  expect(names(ordered(all, 'backlog', true))).toBe('c a å b');
  expect(names(ordered(all, 'name', true))).toBe('å c b a');
  const half = { completeness: { days: 7, expected: 4, got: 2 } };
  expect(names(ordered([site('a', half), site('b')], 'whole', false))).toBe('b a');
});

test('a tree is told from the top, and a tag whose own is not known is one', () => {
  expect(tree(TAGS).map((it) => `${it.depth} ${it.path}`)).toEqual([
    '0 Boliger',
    '0 Midt',
    '1 Midt / Trondheim',
  ]);
  expect(tree([tag('t', 'm')]).map((it) => it.path)).toEqual(['t']);
});

test('a building is within the tags above its own, and a loop ends', () => {
  const own = site('a', { tags: ['t'] });
  expect([isWithin(own, 't', TAGS), isWithin(own, 'm', TAGS), isWithin(own, 'b', TAGS)]).toEqual([
    true,
    true,
    false,
  ]);
  expect(isWithin(site('a', { tags: ['x'] }), 'm', [tag('x', 'y'), tag('y', 'x')])).toBe(false);
});

test('every word is looked for in name, place, version and tags', () => {
  const all = [site('Skolegata 12', { place: 'Trondheim' }), site('Havna', { tags: ['t'] })];
  expect(names(searched(all, ' trondheim ', TAGS))).toBe('Skolegata 12 Havna');
  expect(names(searched(all, 'TROND skole', TAGS))).toBe('Skolegata 12');
  expect(names(searched(all, '0.9', TAGS))).toBe('Skolegata 12 Havna');
  expect(names(searched(all, 'oslo', TAGS))).toBe('');
});
