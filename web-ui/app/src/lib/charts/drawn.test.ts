import { expect, test } from 'vitest';
import type { History } from '../wire';
import { drawnColumns, moved } from './drawn';

const HOUR = 3_600_000;

/** A gauge with a row of an hour at each of `hours`, which swings between 10 less and 10 more. */
function gauge(hours: number[]): History {
  const rows = hours.map((hour) => ({
    start: new Date(hour * HOUR).toISOString(),
    end: new Date((hour + 1) * HOUR).toISOString(),
    mantissa: null,
    min: hour - 10,
    max: hour + 10,
    mean: hour,
    got: 60,
    expected: 60,
    from_memory: 0,
    spread_unknown: false,
  }));
  const runs = [{ series: 1, unit: 'kW', decimals: 1, rows }];
  return { kind: 'gauge', total: null, runs, gaps: [] };
}

const told = (history: History | undefined, others: History[] = []) =>
  drawnColumns([history, ...others].filter((it) => it !== undefined))[0]?.slots.map((slot) => [
    slot.start / HOUR,
    slot.end / HOUR,
    slot.text,
  ]);

test('a row keeps its least and its most', () => {
  const slot = drawnColumns([gauge([5, 6])])[0]?.slots[1];
  expect([slot?.lowText, slot?.text, slot?.highText]).toEqual(['-0.4', '0.6', '1.6']);
});

test('where nothing was read for long is a slot without a value', () => {
  expect(told(gauge([1, 2, 3, 8, 9]))?.slice(2, 5)).toEqual([
    [3, 4, '0.3'],
    [4, 8, null],
    [8, 9, '0.8'],
  ]);
});

test('a meter that is read now and then has a line all the same', () => {
  expect(told(gauge([0, 24, 48, 72]))?.map(([, , text]) => text)).toEqual([
    '0.0',
    '2.4',
    '4.8',
    '7.2',
  ]);
});

test('two registers stand slot beside slot', () => {
  const [one, other] = drawnColumns([gauge([1, 2, 3]), gauge([2, 3, 4])]);
  expect(one?.slots.map((it) => it.text)).toEqual(['0.1', '0.2', '0.3', null]);
  expect(other?.slots.map((it) => it.text)).toEqual([null, '0.2', '0.3', '0.4']);
});

test('what it is compared with is found by its time', () => {
  const [now, before] = drawnColumns([gauge([24, 25, 26, 27])]).concat(
    drawnColumns([gauge([1, 2])]),
  );
  const slots = moved(before!, now!, -24 * HOUR).slots;
  expect(slots.map((it) => it.text)).toEqual([null, '0.1', '0.2', null]);
});

test('nothing is no row', () => {
  expect(drawnColumns([{ kind: 'gauge', total: null, runs: [], gaps: [] }])).toEqual([null]);
});
