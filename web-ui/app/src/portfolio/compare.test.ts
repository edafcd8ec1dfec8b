import { expect, test } from 'vitest';
import { change, median, specific } from './compare';
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
