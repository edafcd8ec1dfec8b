import { expect, test } from 'vitest';
import { HOUR, midnight, parseDay } from '../time';
import {
  around,
  fineFor,
  inside,
  instant,
  NARROWEST,
  panned,
  readingColumns,
  whole,
  WIDEST,
  windowBefore,
  windowOf,
  windowTicks,
  windowTitle,
  zoomed,
} from './window';

const OSLO = 'Europe/Oslo';
const NOW = Date.parse('2026-11-21T13:32:05Z');
const at = (text: string) => Date.parse(text);
const day = (text: string) => midnight(parseDay(text)!, OSLO);

test('what one points at stays where it is', () => {
  const view = { from: day('2026-11-20'), until: day('2026-11-21') };
  const noon = view.from + 12 * HOUR;
  expect(zoomed(view, noon, 0.5, NOW)).toEqual({
    from: noon - 6 * HOUR,
    until: noon + 6 * HOUR,
  });
  expect(zoomed(view, view.from, 0.5, NOW).from).toBe(view.from);
  const least = zoomed(view, noon, 1e-9, NOW);
  expect(least.until - least.from).toBe(NARROWEST);
  const most = zoomed(view, noon, 1e9, NOW);
  expect(most.until - most.from).toBe(WIDEST);
});

test('nobody scrolls into the future', () => {
  const view = { from: NOW - HOUR, until: NOW };
  expect(panned(view, 10 * HOUR, NOW)).toEqual({ from: NOW - HOUR / 2, until: NOW + HOUR / 2 });
  expect(panned(view, -HOUR, NOW)).toEqual({ from: NOW - 2 * HOUR, until: NOW - HOUR });
});

test('steps become finer from years to minutes', () => {
  const days = (n: number) => n * 24 * HOUR;
  const widths = [days(1000), days(365), days(30), days(1), HOUR];
  expect(widths.map(fineFor)).toEqual(['month', 'day', 'hour', 'quarter', 'reading']);
});

test('what is fetched begins and ends with a step of the calendar', () => {
  const view = { from: at('2026-10-24T20:10:00Z'), until: at('2026-10-25T20:20:00Z') };
  expect(whole(view, 'quarter', OSLO)).toEqual({
    from: at('2026-10-24T20:00:00Z'),
    until: at('2026-10-25T20:30:00Z'),
  });
  expect(whole(view, 'day', OSLO)).toEqual({ from: day('2026-10-24'), until: day('2026-10-26') });
  expect(whole(view, 'month', OSLO)).toEqual({ from: day('2026-10-01'), until: day('2026-11-01') });
  const same = { from: day('2026-10-01'), until: day('2026-11-01') };
  expect(whole(same, 'month', OSLO)).toEqual(same);
  expect(around(same, 'day', OSLO).from).toBeLessThan(same.from);
});

test('a window is compared with the same hours a week before, when clocks changed too', () => {
  const view = { from: day('2026-10-26') + 8 * HOUR, until: day('2026-10-26') + 12 * HOUR };
  expect(windowBefore(view, OSLO)).toEqual({
    from: day('2026-10-19') + 8 * HOUR,
    until: day('2026-10-19') + 12 * HOUR,
  });
});

test('an address names a window, or nothing', () => {
  const span = { from: NOW - HOUR - 5000, until: NOW - 5000 };
  expect(windowOf(instant(span.from), instant(span.until))).toEqual(span);
  expect(windowOf(null, instant(NOW))).toBeNull();
  expect(windowOf(instant(NOW), instant(NOW - HOUR))).toBeNull();
  expect(windowOf('tomorrow', 'never')).toBeNull();
});

test('at most thirteen words stand under a chart, at every width', () => {
  for (let width = NARROWEST; width < WIDEST; width *= 1.3) {
    const ticks = windowTicks({ from: NOW - width, until: NOW }, NOW, OSLO, 'nb');
    expect(ticks.length, String(width)).toBeGreaterThan(0);
    expect(ticks.length, String(width)).toBeLessThanOrEqual(13);
  }
  const words = (from: string, until: string) =>
    windowTicks({ from: at(from), until: at(until) }, NOW, OSLO, 'nb').map((it) => it.wide);
  expect(words('2026-11-21T12:50:00Z', '2026-11-21T13:20:00Z')[0]).toBe('13.50');
  expect(words('2026-11-20T22:00:00Z', '2026-11-21T02:00:00Z')).toContain('21. nov.');
  expect(windowTitle({ from: day('2026-11-20'), until: day('2026-11-21') }, NOW, OSLO, 'nb')).toBe(
    '20. nov. 00.00–00.00',
  );
});

test('readings are points of a gauge and differences of a counter, and a hole is a hole', () => {
  const told = (minute: number, value: string | null) => ({
    at: new Date(NOW + minute * 60_000).toISOString(),
    value,
    unit: 'kWh',
    series: 1,
    origin: 'live',
  });
  const list = [
    told(0, '10.0'),
    told(1, '10.5'),
    told(2, '11.0'),
    told(9, '14.0'),
    told(10, '14.5'),
  ];
  const counted = readingColumns(list.toReversed(), true)!;
  expect(counted.slots.map((it) => it.text)).toEqual(['0.5', '0.5', null, '0.5']);
  const gauge = readingColumns(list, false)!;
  expect(gauge.slots.map((it) => it.text)).toEqual(['10.0', '10.5', '11.0', null, '14.0', '14.5']);
  expect(gauge.slots.every((it) => it.end > it.start)).toBe(true);
  expect(readingColumns([told(0, null)], false)).toBeNull();
  const part = inside(counted, { from: NOW + 30_000, until: NOW + 11 * 60_000 });
  expect(part?.columns.slots).toHaveLength(3);
});
