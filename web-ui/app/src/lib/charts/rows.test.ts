import { expect, test } from 'vitest';
import { parseDay, spanOf } from '../time';
import type { History, HistoryRow } from '../wire';
import { columns, extremesOf, mantissaOf, steps, totalOf } from './rows';
import { scaleOf } from './scale';

const OSLO = 'Europe/Oslo';
const day = (text: string) => spanOf('day', parseDay(text)!, OSLO);

function row(start: number, values: Partial<HistoryRow>): HistoryRow {
  return {
    start: new Date(start).toISOString(),
    end: new Date(start + 3_600_000).toISOString(),
    mantissa: null,
    min: null,
    max: null,
    mean: null,
    got: 4,
    expected: 4,
    from_memory: 0,
    spread_unknown: false,
    ...values,
  };
}

test('a day has as many hours as the clock shows', () => {
  expect(steps(day('2026-11-21'), 'hour', OSLO)).toHaveLength(24);
  expect(steps(day('2026-10-25'), 'hour', OSLO)).toHaveLength(25);
  expect(steps(day('2026-03-29'), 'quarter', OSLO)).toHaveLength(92);
  const october = spanOf('month', parseDay('2026-10-01')!, OSLO);
  const days = steps(october, 'day', OSLO);
  expect(days).toHaveLength(31);
  expect(days.at(-1)?.until).toBe(october.until);
  expect(steps(spanOf('year', parseDay('2026-01-01')!, OSLO), 'month', OSLO)).toHaveLength(12);
});

test('an exchanged meter’s runs are one column, a slot without a row is unknown and not zero', () => {
  const span = day('2026-11-21');
  const history: History = {
    kind: 'counter',
    total: null,
    runs: [
      { series: 1, unit: 'kWh', decimals: 0, rows: [row(span.from, { mantissa: 7 })] },
      {
        series: 2,
        unit: 'kWh',
        decimals: 2,
        rows: [row(span.from, { mantissa: 150 }), row(span.from + 3_600_000, { mantissa: 25n })],
      },
    ],
    gaps: [],
  };
  const found = columns(history, span, 'hour', OSLO)!;
  expect(found.decimals).toBe(2);
  expect(found.slots.slice(0, 3).map((slot) => slot.text)).toEqual(['8.50', '0.25', null]);
  expect(totalOf(found)).toBe('8.75');
  expect(found.leftOut).toEqual([]);
});

test('a run in another unit is named, not mixed in', () => {
  const span = day('2026-11-21');
  const found = columns(
    {
      kind: 'counter',
      total: null,
      runs: [
        { series: 1, unit: 'GJ', decimals: 3, rows: [row(span.from, { mantissa: 7 })] },
        { series: 2, unit: 'MWh', decimals: 3, rows: [row(span.from, { mantissa: 1 })] },
      ],
      gaps: [],
    },
    span,
    'hour',
    OSLO,
  )!;
  expect(found.leftOut).toEqual(['GJ']);
  expect(found.slots[0]?.text).toBe('0.001');
});

test('the extremes of a gauge are exact', () => {
  const span = day('2026-11-21');
  const rows = [
    row(span.from, { min: -26, max: 4, mean: 1 }),
    row(span.from + 3_600_000, { min: -3, max: 112, mean: 50 }),
  ];
  const runs = [{ series: 1, unit: 'C', decimals: 1, rows }];
  const found = columns({ kind: 'gauge', total: null, runs, gaps: [] }, span, 'hour', OSLO)!;
  expect(extremesOf(found)).toEqual({ low: '-2.6', high: '11.2' });
  expect(mantissaOf('-0.05', 2)).toBe(-5n);
  expect(mantissaOf('120', -1)).toBe(12n);
});

test('a scale has at most six lines and holds everything', () => {
  for (const [values, fromZero] of [
    [[113.5, 97, 126], true],
    [[78.4, 41.2], false],
    [[0, 0], true],
    [[], true],
    [[-0.4, 0.02], false],
    [[1e7, 3], true],
  ] as const) {
    const { low, high, ticks } = scaleOf([...values], fromZero);
    expect(ticks.length).toBeLessThanOrEqual(7);
    expect(ticks.length).toBeGreaterThan(1);
    expect(low).toBeLessThanOrEqual(Math.min(...values, low));
    expect(high).toBeGreaterThanOrEqual(Math.max(...values, high));
    if (fromZero) expect(low).toBe(0);
  }
});
