import { expect, test } from 'vitest';
import { fetchMonths } from './months';
import type { Question } from './shown';
import { civil, type Day } from './time';
import type { History } from './wire';

const zone = 'Europe/Oslo';
/** 22 November 2026, 15.00 in the building. */
const now = Date.parse('2026-11-22T14:00:00Z');
const HOUR = 3_600_000;

/** A counter that uses one kWh an hour from `since` on, and nothing that is known before. */
function counter(since: string, until = Infinity, asked: Question[] = []) {
  const from = Date.parse(since);
  return (question: Question): Promise<History> => {
    asked.push(question);
    const { step } = question;
    const rows = [];
    for (let start = question.from; start < question.until;) {
      const end = Math.min(next(start, step), question.until);
      const known = Math.min(end, now, until) - Math.max(start, from);
      if (known > 0) {
        rows.push({
          start: new Date(start).toISOString(),
          end: new Date(end).toISOString(),
          mantissa: Math.ceil(known / HOUR),
          min: null,
          max: null,
          mean: null,
          got: 1,
          expected: 1,
          from_memory: 0,
          spread_unknown: false,
        });
      }
      start = end;
    }
    const runs = rows.length ? [{ series: 1, unit: 'kWh', decimals: 0, rows }] : [];
    return Promise.resolve({ kind: 'counter', total: null, runs, gaps: [] });
  };
}

/** The beginning of the next step: the building's clock is two hours, or one, ahead of UTC. */
function next(start: number, step: Question['step']): number {
  if (step === 'hour') return start + HOUR;
  const same = (at: number) => {
    const { year, month, day }: Day = civil(at, zone);
    return step === 'month' ? `${year}-${month}` : `${year}-${month}-${day}`;
  };
  let at = start + HOUR;
  while (same(at) === same(start)) at += HOUR;
  return at;
}

const day = (at: number | undefined) => {
  const { month, day } = civil(at ?? 0, zone);
  return `${day}.${month}.`;
};

test('two years that are known are compared month by month', async () => {
  const { year, before, beforePartly } = await fetchMonths(
    'energy',
    now,
    zone,
    counter('2020-01-01T00:00:00Z'),
  );
  expect(year?.slots.map((slot) => slot.partly)).toEqual(Array(12).fill(null));
  expect(before[0]).toEqual({ value: '744', unit: 'kWh' });
  expect(beforePartly).toEqual(Array(12).fill(false));
});

test('the month that runs is compared up to the same moment', async () => {
  const { before } = await fetchMonths('energy', now, zone, counter('2020-01-01T00:00:00Z'));
  expect(before[11]).toEqual({ value: String(21 * 24 + 15), unit: 'kWh' });
});

test('the month in which a meter was set up says from when it is known', async () => {
  const asked: Question[] = [];
  const load = counter('2026-09-22T22:00:00Z', Infinity, asked);
  const { year, before } = await fetchMonths('energy', now, zone, load);
  const september = year?.slots[9];
  expect([september?.text, day(september?.partly?.from), day(september?.partly?.until)]).toEqual([
    String(8 * 24),
    '23.9.',
    '1.10.',
  ]);
  expect(year?.slots[10]?.partly).toBeNull();
  expect(before).toEqual(Array(12).fill(null));
  // Only the month at the edge is asked for by the day.
  expect(asked.filter((question) => question.step === 'day')).toHaveLength(1);
});

test('a month is not compared with a part of one', async () => {
  const load = counter('2025-06-10T00:00:00Z');
  const { year, before, beforePartly } = await fetchMonths('energy', now, zone, load);
  const june = 6;
  expect(year?.slots[june]?.text).toBe('720');
  expect([before[june], beforePartly[june]]).toEqual([null, true]);
  expect(before[june + 1]).toEqual({ value: '744', unit: 'kWh' });
});

test('the month in which a meter fell silent says until when it is known', async () => {
  const load = counter('2020-01-01T00:00:00Z', Date.parse('2026-08-14T22:00:00Z'));
  const { year, before } = await fetchMonths('energy', now, zone, load);
  expect(day(year?.slots[8]?.partly?.until)).toBe('15.8.');
  expect(before[8]).toBeNull();
  expect(before[7]).not.toBeNull();
});

test('a meter that was never read has no months', async () => {
  const { year, before } = await fetchMonths('energy', now, zone, counter('2030-01-01T00:00:00Z'));
  expect([year, before]).toEqual([null, []]);
});
