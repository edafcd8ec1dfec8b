import { expect, test } from 'vitest';
import { exampleMeter, exampleSite, heardMeter, lastBus, newId, take, taken } from './example';

test('an id is of version 7, begins with its time and is nobody else’s', () => {
  const now = Date.parse('2026-11-21T13:30:00Z');
  const ids = Array.from({ length: 100 }, () => newId(now));
  expect(new Set(ids).size).toBe(100);
  for (const id of ids) {
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(parseInt(id.replace('-', '').slice(0, 12), 16)).toBe(now);
  }
});

test('a building and its meter have ids of their own', () => {
  const text = exampleSite(Date.now(), 'Building', 'Meter');
  const [site, meter] = [...text.matchAll(/^id = "(.{36})"$/gm)].map(([, id]) => id);
  expect(site).not.toBe(meter);
  expect(text).toMatch(/^\[site\]\n[^]*\n\[\[bus\]\]\n[^]*\n\[\[meter\]\]\n/);
});

test('a new meter hangs on the bus that was written last', () => {
  const text =
    '[[bus]]\nid = "riser"\n\n[[bus]]\nkind = "mbus"\nid = "cellar"\n\n[[meter]]\nid = "x"\n';
  expect(lastBus(text)).toBe('cellar');
  expect(lastBus('')).toBe('bus-1');
  expect(exampleMeter(0, 'Meter', lastBus(text))).toContain('bus = "cellar"');
});

test('a meter that is heard is taken by what it is known by, once', () => {
  const heard = (kind: string) => heardMeter(0, 'New', 'air', kind, '67001122KAM1B16');
  expect(heard('wmbus')).toContain('bus = "air"\nsecondary = "67001122KAM1B16"\n');
  expect(heard('mqtt')).toContain('address = "67001122KAM1B16"\n');
  const section = heard('wmbus');
  take(section);
  expect(taken()).toBe(section);
  expect(taken()).toBeNull();
});
