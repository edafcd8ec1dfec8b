import { expect, test } from 'vitest';
import { scaleOf } from './scale';

function check(values: number[], fromZero: boolean, resolution: number, expected: string) {
  const { ticks, decimals } = scaleOf(values, fromZero, resolution);
  expect(ticks.map((tick) => tick.toFixed(decimals)).join(' ')).toBe(expected);
}

test('lines stand at round figures around all values', () => {
  check([0, 58], true, 1, '0 20 40 60');
  check([36.26, 70.63], false, 0.01, '30 40 50 60 70 80');
  check([-12, 3], false, 0.1, '-15 -10 -5 0 5');
});

test('what hardly changes is no cliff, and the axis has no digit that the meter lacks', () => {
  check([21, 21.2], false, 0.1, '20.6 20.8 21.0 21.2 21.4 21.6');
  check([21.5], false, 0.1, '21.0 21.2 21.4 21.6 21.8 22.0');
  check([0, 2], true, 1, '0 2 4 6 8 10');
});

test('nothing has an axis too', () => {
  check([], true, 1, '0 2 4 6 8 10');
  check([0, 0], true, 0.001, '0.000 0.002 0.004 0.006 0.008 0.010');
});
