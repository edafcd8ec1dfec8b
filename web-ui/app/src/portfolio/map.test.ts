import { expect, test } from 'vitest';
import {
  around,
  clusters,
  HEIGHT,
  land,
  lines,
  project,
  ruler,
  udegOf,
  udegText,
  WIDTH,
} from './map';

const TRONDHEIM = { id: 'a', lat: 63.4268, lon: 10.393 };
const NEAR = { id: 'b', lat: 63.4361, lon: 10.4211 };
const BERGEN = { id: 'c', lat: 60.3944, lon: 5.3169 };

test('all places are in the picture, with the north up', () => {
  const view = around([TRONDHEIM, NEAR, BERGEN]);
  const [north, , south] = [TRONDHEIM, NEAR, BERGEN].map((it) => project(view, it));
  for (const { x, y } of [north!, south!]) {
    expect(x > 0 && x < WIDTH && y > 0 && y < HEIGHT).toBe(true);
  }
  expect(north!.y).toBeLessThan(south!.y);
  expect(north!.x).toBeGreaterThan(south!.x);
});

test('those that stand close are one group, until the map is close enough', () => {
  const all = [TRONDHEIM, NEAR, BERGEN];
  const groups = (of: typeof all, view = around(of)) =>
    clusters(view, of).map((it) => it.items.map((item) => item.id).join(''));
  expect(groups(all)).toEqual(['ab', 'c']);
  expect(groups(all.toReversed())).toEqual(['ab', 'c']);
  expect(groups([TRONDHEIM, NEAR], around([TRONDHEIM, NEAR], 60_000))).toEqual(['a', 'b']);
  const same = [TRONDHEIM, { ...TRONDHEIM, id: 'd' }];
  expect(groups(same, around(same, 60_000))).toEqual(['ad']);
});

test('nobody on the map is no mistake, and one place is not looked at too closely', () => {
  expect(clusters(around([]), [])).toEqual([]);
  expect(land(around([])).length).toBeGreaterThan(1000);
  expect(around([BERGEN]).scale).toBe(400);
  expect(land({ ...BERGEN, scale: 60_000 })).toBe('');
});

test('lines and ruler fit every scale', () => {
  for (const scale of [12, 34, 400, 5_000, 60_000]) {
    for (const which of ['lat', 'lon'] as const) {
      const found = lines({ ...BERGEN, scale }, which);
      expect(found.length, `${scale} ${which}`).toBeGreaterThan(1);
      expect(found.length, `${scale} ${which}`).toBeLessThan(8);
    }
    const { points } = ruler({ ...BERGEN, scale });
    expect(points).toBeGreaterThanOrEqual(60);
    expect(points).toBeLessThanOrEqual(150);
  }
});

test('degrees are exact millionths, and what is none is refused', () => {
  expect(udegOf('63,430515', 90)).toBe(63_430_515);
  expect(udegOf(' -0.5° ', 90)).toBe(-500_000);
  expect(udegOf('90', 90)).toBe(90_000_000);
  for (const wrong of ['90,000001', '', 'x', '63,4305151', '63°25′', '1e2', '63,']) {
    expect(udegOf(wrong, 90), wrong).toBe(null);
  }
  for (const udeg of [63_430_515, -500_000, 0, 5]) {
    expect(udegOf(udegText(udeg, ','), 90)).toBe(udeg);
  }
});
