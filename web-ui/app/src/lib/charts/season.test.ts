import { expect, test } from 'vitest';
import { HOUR, midnight, parseDay } from '../time';
import {
  covered,
  etLine,
  inOrder,
  knownHours,
  limits,
  loadOf,
  meanDecimals,
  onLine,
  peaks,
  specificVolume,
  stepOf,
  weekOf,
  weighted,
  type Season,
} from './season';

const OSLO = 'Europe/Oslo';
const at = (day: string) => midnight(parseDay(day)!, OSLO);

function season(first: string, days: string[], used: (hour: number) => number | null): Season {
  const start = at(first);
  const edges = [first, ...days].map(at);
  const ends = edges.slice(1);
  const hours = (ends.at(-1)! - start) / HOUR;
  return {
    start,
    hours: Array.from({ length: hours }, (_, hour) => used(hour)),
    days: ends.map((end, index) => ({ start: edges[index]!, end })),
  };
}

test('hours stand where the building’s clock showed them, when clocks change too', () => {
  // Saturday with 24 hours, Sunday 25 October with 25, Monday with 24.
  const three = season('2026-10-24', ['2026-10-25', '2026-10-26', '2026-10-27'], (n) => n);
  const known = knownHours(three, OSLO);
  expect(known).toHaveLength(73);
  const place = (index: number) => [known[index]!.day, known[index]!.hour, known[index]!.weekday];
  expect(place(0)).toEqual(['2026-10-24', 0, 6]);
  expect(place(26)).toEqual(['2026-10-25', 2, 7]);
  expect(place(27)).toEqual(['2026-10-25', 2, 7]);
  expect(place(28)).toEqual(['2026-10-25', 3, 7]);
  expect(place(49)).toEqual(['2026-10-26', 0, 1]);
  const week = weekOf(known, three, 0, OSLO);
  expect(week[6]![2]).toEqual({ mean: 26.5, got: 2, expected: 2 });
  expect(week[0]![5]).toEqual({ mean: 54, got: 1, expected: 1 });
  expect(week[2]![5]).toEqual({ mean: null, got: 0, expected: 0 });
});

test('a cell that is known by halves is covered by nothing', () => {
  const two = season('2026-11-09', ['2026-11-10', '2026-11-16', '2026-11-17'], (n) =>
    n === 3 ? null : 100 + (n % 24),
  );
  const week = weekOf(knownHours(two, OSLO), two, 1, OSLO);
  expect(covered(week[0]![3]!)).toBe(false);
  expect(covered(week[0]![4]!)).toBe(true);
  const scale = limits(week);
  expect(scale[0]).toBeCloseTo(10);
  expect(scale.at(-1)).toBeCloseTo(12.3);
  expect([10, 11.1, 12.3].map((mean) => stepOf(mean, scale))).toEqual([0, 3, 6]);
});

test('what lies before the first hour that is known is not missed', () => {
  const two = season('2026-11-09', ['2026-11-10', '2026-11-16', '2026-11-17'], (n) =>
    n < 24 ? null : 100,
  );
  const week = weekOf(knownHours(two, OSLO), two, 1, OSLO);
  expect(week[0]![4]).toEqual({ mean: 10, got: 1, expected: 1 });
  expect(covered(week[0]![4]!)).toBe(true);
});

test('the highest hours are of different days, and the load is what they carry', () => {
  const days = season('2026-11-09', ['2026-11-10', '2026-11-11'], (n) =>
    n === 7 ? 50 : n === 8 ? 49 : n === 30 ? 40 : 10,
  );
  const sorted = inOrder(knownHours(days, OSLO));
  expect(sorted.map((it) => it.used).slice(0, 4)).toEqual([50n, 49n, 40n, 10n]);
  expect(peaks(sorted, 5).map((it) => [it.day, it.hour, it.used])).toEqual([
    ['2026-11-09', 7, 50n],
    ['2026-11-10', 6, 40n],
  ]);
  expect(loadOf(sorted)).toEqual({ total: 589n, hours: 11, percent: 24 });
  expect(loadOf([])).toBeNull();
});

test('temperatures are weighted by the water that came at them', () => {
  // 1.2 m³ at 45 °C, 0.8 at 50, 2.0 at 40, and an hour of which nothing is known.
  expect(weighted([450, 500, 400, null], [12, 8, 20, 7])).toBe(435n);
  expect(weighted([450], [null])).toBeNull();
  // 200.04 kWh out of 4.0 m³.
  expect(specificVolume([20_004], 2, [40], 1)).toBe('20.0');
  expect(specificVolume([200], 0, [4000], 3)).toBe('20.0');
  expect(specificVolume([null], 0, [4], 0)).toBeNull();
});

test('the line bends at its knee', () => {
  const line = etLine(
    { grows_with: 'cold', base: 624_000, slope: 128_000, knee: 142, deviation: 60_000 },
    0,
  );
  expect(onLine(line, 20)).toBe(624);
  expect(onLine(line, 4.2)).toBeCloseTo(1904);
  const cooling = etLine(
    { grows_with: 'heat', base: 10_000, slope: 2_000, knee: 160, deviation: 0 },
    1,
  );
  expect(onLine(cooling, 26)).toBeCloseTo(3);
  expect(meanDecimals(142, 0)).toBe(0);
  expect(meanDecimals(0.7, 3)).toBe(2);
});
