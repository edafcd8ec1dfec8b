import { expect, test } from 'vitest';
import {
  addDays,
  age,
  civil,
  clock,
  comparable,
  dateWritten,
  dayLong,
  dayShort,
  firstOf,
  HOUR,
  isoDay,
  midnight,
  parseDay,
  shifted,
  spanOf,
  weekNumber,
} from './time';

const OSLO = 'Europe/Oslo';
const at = (text: string) => Date.parse(text);

test('what a meter wrote as a date is read in the language of the page', () => {
  expect(dateWritten('2028-09-14', 'nb')).toBe('14. sep. 2028');
  expect(dateWritten('2028-09-14T14:26', 'en')).toBe('14 Sept 2028 14:26');
  expect(dateWritten('2028-09-14T14:26:45', 'da')).toBe('14. sep. 2028 14.26');
  expect(dateWritten('2028-13-14', 'nb')).toBeNull();
  expect(dateWritten('B20', 'nb')).toBeNull();
});

test('a day of the building has 23, 24 or 25 hours', () => {
  const hours = (text: string) => {
    const { from, until } = spanOf('day', parseDay(text)!, OSLO);
    return (until - from) / HOUR;
  };
  expect(hours('2026-11-21')).toBe(24);
  expect(hours('2026-03-29')).toBe(23);
  expect(hours('2026-10-25')).toBe(25);
});

test('midnight is the building’s, wherever the browser stands', () => {
  expect(midnight(parseDay('2026-11-21')!, OSLO)).toBe(at('2026-11-20T23:00:00Z'));
  expect(midnight(parseDay('2026-07-01')!, OSLO)).toBe(at('2026-06-30T22:00:00Z'));
  expect(midnight(parseDay('2026-07-01')!, 'America/New_York')).toBe(at('2026-07-01T04:00:00Z'));
  expect(civil(at('2026-10-25T00:30:00Z'), OSLO).hour).toBe(2);
  expect(civil(at('2026-10-25T01:30:00Z'), OSLO).hour).toBe(2);
});

test('periods begin where the calendar says', () => {
  const day = parseDay('2026-11-21')!;
  expect(isoDay(firstOf('week', day))).toBe('2026-11-16');
  expect(isoDay(firstOf('month', day))).toBe('2026-11-01');
  expect(isoDay(firstOf('year', day))).toBe('2026-01-01');
  expect(isoDay(shifted('month', parseDay('2026-01-01')!, -1))).toBe('2025-12-01');
  expect(isoDay(shifted('month', parseDay('2026-11-01')!, 2))).toBe('2027-01-01');
  expect(isoDay(addDays(parseDay('2028-02-28')!, 1))).toBe('2028-02-29');
  expect(isoDay(comparable('day', day))).toBe('2026-11-14');
  expect(isoDay(comparable('month', firstOf('month', day)))).toBe('2025-11-01');
  expect(weekNumber(parseDay('2026-01-01')!)).toBe(1);
  expect(weekNumber(parseDay('2027-01-01')!)).toBe(53);
});

test('only a day of the calendar is a day', () => {
  expect(parseDay('2026-02-30')).toBeNull();
  expect(parseDay('21.11.2026')).toBeNull();
  expect(parseDay(null)).toBeNull();
});

test('times are written as the language writes them', () => {
  const now = at('2026-11-21T13:32:07Z');
  expect(clock(now, OSLO, 'nb')).toBe('14.32');
  expect(clock(now, OSLO, 'en', true)).toBe('14:32:07');
  expect(dayLong(now, OSLO, 'nb')).toBe('lørdag 21. november');
  expect(dayShort(now, OSLO, 'nb', now)).toBe('21. nov.');
  expect(dayShort(at('2024-06-12T08:00:00Z'), OSLO, 'nb', now)).toBe('12. juni 2024');
});

test('an age is told in the unit that fits', () => {
  const now = at('2026-11-21T13:32:00Z');
  expect(age(now - 21_000, now, OSLO, 'nb')).toEqual({ unit: 's', n: 21 });
  expect(age(now - 4 * 60_000, now, OSLO, 'nb')).toEqual({ unit: 'min', n: 4 });
  expect(age(at('2026-11-21T08:00:00Z'), now, OSLO, 'nb')).toMatchObject({
    unit: 'clock',
    clock: '09.00',
  });
  expect(age(at('2026-11-20T22:40:00Z'), now, OSLO, 'nb')).toMatchObject({
    unit: 'date',
    clock: '23.40',
    date: '20. nov.',
  });
});
