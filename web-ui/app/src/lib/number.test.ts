import { expect, test } from 'vitest';
import {
  approximate,
  completeness,
  cutShare,
  decimalText,
  differencePercent,
  figure,
  inKilo,
  rounded,
  significant,
  sum,
  unitSymbol,
} from './number';

test('a mantissa is written with the digits of its meter', () => {
  const cases: [number | bigint | string, number, string][] = [
    [123450, 2, '1234.50'],
    [-5, 3, '-0.005'],
    [0, 2, '0.00'],
    [12, -1, '120'],
    [0, -3, '0'],
    [9223372036854775807n, 0, '9223372036854775807'],
    ['-9223372036854775808', 4, '-922337203685477.5808'],
  ];
  for (const [mantissa, decimals, text] of cases) {
    expect(decimalText(mantissa, decimals)).toBe(text);
  }
});

test('a figure has the punctuation of its language and keeps every digit', () => {
  expect(figure('1234.5', 'nb')).toBe('1\u202f234,5');
  expect(figure('1234.5', 'en')).toBe('1,234.5');
  expect(figure('1234.5', 'da')).toBe('1.234,5');
  expect(figure('-2.60', 'nb')).toBe('\u22122,60');
  expect(figure('9223372036854775807', 'en')).toBe('9,223,372,036,854,775,807');
  expect(figure('0.000', 'nb')).toBe('0,000');
  expect(figure('not a number', 'nb')).toBe('not a number');
});

test('rounding goes to the nearest, a half away from zero', () => {
  expect(rounded('113.45', 1)).toBe('113.5');
  expect(rounded('-113.45', 1)).toBe('-113.5');
  expect(rounded('113.44', 0)).toBe('113');
  expect(rounded('0.05', 1)).toBe('0.1');
  expect(rounded('-0.04', 1)).toBe('0.0');
  expect(rounded('7', 2)).toBe('7');
});

test('a live figure has three significant digits, but every whole one', () => {
  expect(significant('113.48', 3)).toBe('113');
  expect(significant('72.148', 3)).toBe('72.1');
  expect(significant('6.4', 3)).toBe('6.4');
  expect(significant('0.7013', 3)).toBe('0.701');
  expect(significant('0.0312', 3)).toBe('0.0312');
  expect(significant('12345.6', 3)).toBe('12346');
  expect(significant('0.00004', 3)).toBe('0.00004');
});

test('a promise is cut, not rounded', () => {
  expect(cutShare('99.49999', 'nb')).toBe('99,4999');
  expect(cutShare('100', 'en')).toBe('100.0000');
});

test('completeness under one hundred is at most 99,9', () => {
  expect(completeness(99999, 100000, 'nb')).toBe('99,9');
  expect(completeness(96, 96, 'nb')).toBe('100,0');
  expect(completeness(0, 0, 'nb')).toBeNull();
});

test('sums are exact, and only pixels are floats', () => {
  expect(sum([9007199254740991, 1, 1n, '1'])).toBe(9007199254740994n);
  expect(approximate(12345, 3)).toBeCloseTo(12.345);
  expect(differencePercent(91n, 100n)).toBe(-9);
  expect(differencePercent(1n, 0n)).toBeNull();
  expect(unitSymbol('m3/h')).toBe('m³/h');
  expect(unitSymbol('kWh')).toBe('kWh');
});

test('watts beside kilowatts keep their digits', () => {
  const kilo = (text: string, unit: string) => Object.values(inKilo(text, unit)).join(' ');
  expect(kilo('33634.38', 'W')).toBe('33.63438 kW');
  expect(kilo('21498', 'Wh')).toBe('21.498 kWh');
  expect(kilo('-7', 'W')).toBe('-0.007 kW');
  expect(kilo('0', 'Wh')).toBe('0.000 kWh');
  expect(kilo('8.039', 'kW')).toBe('8.039 kW');
});
