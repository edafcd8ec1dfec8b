import { expect, test } from 'vitest';
import { flowLayout, flowTree, MOST, type Metered } from './flow';

function metered(meter: string, mantissa: number | null, part_of: string | null = null): Metered {
  return { meter, name: meter, medium: 'heat', part_of, mantissa };
}

test('what no sub-meter shows is the rest, and everything adds up', () => {
  const tree = flowTree([
    metered('main', 1588),
    metered('radiators', 818, 'main'),
    metered('air', 507, 'main'),
    metered('coil', 500, 'air'),
    metered('sun', 9),
  ]);
  expect(tree.total).toBe(1597n);
  expect(tree.rests.map(({ from, amount }) => [from.key, amount])).toEqual([
    ['main', 263n],
    ['air', 7n],
    ['sun', 9n],
  ]);
  const used = 818n + 500n;
  expect(used + tree.rest).toBe(tree.total);
  expect(tree.exceeded).toEqual([]);
});

test('sub-meters that show more than their main are named, and make no negative rest', () => {
  const tree = flowTree([metered('main', 100), metered('a', 70, 'main'), metered('b', 60, 'main')]);
  expect(tree.exceeded.map((it) => it.key)).toEqual(['main']);
  expect(tree.rest).toBe(0n);
  const rounded = flowTree([
    metered('main', 129),
    metered('a', 70, 'main'),
    metered('b', 60, 'main'),
  ]);
  expect(rounded.exceeded).toEqual([]);
});

test('a meter that told nothing is unknown and not zero', () => {
  const tree = flowTree([metered('main', 100), metered('a', null, 'main')]);
  expect(tree.unknown.map((it) => it.key)).toEqual(['a']);
  expect(tree.rest).toBe(100n);
  expect(flowLayout(tree, 600, 0).placed.map((it) => it.node.key)).toEqual(['main', 'rest']);
});

test('of thirty flats the smallest are one, and nothing is lost', () => {
  const flats = Array.from({ length: 30 }, (_, n) => metered(`flat-${n}`, n + 1, 'main'));
  const tree = flowTree([metered('main', 500), ...flats]);
  const children = tree.mains[0]?.children ?? [];
  expect(children).toHaveLength(MOST);
  expect(children.at(-1)).toMatchObject({ kind: 'others', count: 24, amount: 300n });
});

test('bands leave and arrive within their bars, and nodes of a column do not overlap', () => {
  const flats = Array.from({ length: 9 }, (_, n) => metered(`flat-${n}`, n * n + 1, 'main'));
  const tree = flowTree([
    metered('main', 400),
    ...flats,
    metered('tap', 30, 'flat-8'),
    metered('tiny', 1),
  ]);
  const { placed, bands, columns, height } = flowLayout(tree, 640, 0);
  expect(columns).toBe(3);
  expect(bands).toHaveLength(placed.length - 2 + 3 - 1);
  for (const one of placed) {
    expect(one.y).toBeGreaterThanOrEqual(0);
    expect(one.y + one.height).toBeLessThanOrEqual(height + 0.5);
    for (const other of placed) {
      if (other === one || other.column !== one.column) continue;
      const apart = one.y + one.height <= other.y + 0.01 || other.y + other.height <= one.y + 0.01;
      expect(apart, `${one.node.key} and ${other.node.key}`).toBe(true);
    }
  }
});
