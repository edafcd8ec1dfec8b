import { expect, test } from 'vitest';
import { typedFigure } from './correction';

test('a figure is taken as it is typed or pasted', () => {
  const taken = {
    ' 12,5 ': '12.5',
    '1 234 567': '1234567',
    '1\u00a0234,0': '1234.0',
    '−3': '-3',
    '-0,25': '-0.25',
    // Refused by the server, which says so.
    twelve: 'twelve',
  };
  for (const [text, figure] of Object.entries(taken)) expect(typedFigure(text)).toBe(figure);
});
