import { expect, test } from 'vitest';
import { change, median, specific, sums } from './compare';
import type { MediumUse, SiteUse } from './wire';

function use(rolling: [number, string], like: [number, string, string], unit = 'kWh'): MediumUse {
  const [days, value] = rolling;
  const [both, used, before] = like;
  return {
    medium: 'heat',
    unit,
    of: 1,
    undecided: false,
    months: [],
    like: { days: both, used, before },
    rolling: { days, value },
  };
}

const site = (area: number | null): SiteUse => ({
  id: '',
  name: '',
  place: null,
  area_m2: area,
  media: [],
});

test('a year has a figure for each square metre, and part of one has none', () => {
  const year = use([365, '125000.000'], [300, '90000.000', '99000.000']);
  expect(specific(site(1000), year)).toEqual({ value: 125, before: 137.5 });
  expect(specific(site(null), year)).toEqual(null);
  expect(specific(site(1000), use([200, '1.000'], [0, '0', '0']))).toEqual(null);
  const water = use([365, '800.000'], [3, '2.000', '3.000'], 'm3');
  expect(specific(site(1000), water)).toEqual({ value: 800, before: null });
});

test('years are set against each other on the days of which both are known', () => {
  const less = use([365, '0'], [300, '90.000', '100.000']);
  expect(change([less])).toEqual(-10);
  expect(change([less, use([365, '0'], [300, '30.000', '20.000'])])).toEqual(0);
  expect(change([use([365, '0'], [5, '9.000', '1.000'])])).toEqual(null);
  expect(change([])).toEqual(null);
});

test('the middle of several', () => {
  expect(median([])).toEqual(null);
  expect(median([3, 1, 2])).toEqual(2);
  expect(median([4, 1, 2, 3])).toEqual(2.5);
});

test('a sum is of what is known, and a figure for the area of all of it', () => {
  const row = (area: number | null, days: number, value: string, unit = 'kWh') => ({
    site: site(area),
    use: use([days, value], [0, '0', '0'], unit),
  });
  const rows = [row(1000, 365, '100000.400'), row(500, 365, '20000.200')];
  expect(sums(rows)).toMatchObject([{ unit: 'kWh', total: '120001', area: 80.0004, sites: 2 }]);
  const more = [...rows, row(null, 365, '1.000'), row(100, 0, '0.000'), row(9, 365, '2.000', 'm3')];
  expect(sums(more).map(({ unit, total, area, sites }) => [unit, total, area, sites])).toEqual([
    ['kWh', '120002', null, 3],
    ['m3', '2', 2000 / 9, 1],
  ]);
  expect(sums([])).toEqual([]);
});
