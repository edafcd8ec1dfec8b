import { expect, test } from 'vitest';
import { setBits } from './flags';

test('the bits that are set are counted from the least', () => {
  expect(setBits('0')).toEqual([]);
  expect(setBits('34')).toEqual([1, 5]);
  // More than a number of JavaScript holds.
  expect(setBits('9223372036854775809')).toEqual([0, 63]);
});

test('what is no whole number has no bits', () => {
  expect(setBits(null)).toEqual([]);
  expect(setBits('-1')).toEqual([]);
  expect(setBits('1.5')).toEqual([]);
});
