import { expect, test } from 'vitest';
import { fetchShown, fetchWindow, type Choice, type Question } from './shown';
import { parseDay } from './time';
import type { History, Step } from './wire';

const LENGTH: Record<Step, number> = { quarter: 15, hour: 60, day: 1440, month: 43_200 };

/** A counter that uses one kWh in every step, with a row only where `known` says so. */
function counter(known: (start: number, step: Step) => boolean, asked: Question[] = []) {
  return (question: Question): Promise<History> => {
    asked.push(question);
    const { from, until } = question;
    const step = question.step === 'drawn' ? 'hour' : question.step;
    const rows = [];
    for (let start = from; start < until; start += LENGTH[step] * 60_000) {
      if (!known(start, step)) continue;
      rows.push({
        start: new Date(start).toISOString(),
        end: '',
        mantissa: 1,
        min: null,
        max: null,
        mean: 1,
        got: 1,
        expected: 1,
        from_memory: 0,
        spread_unknown: false,
      });
    }
    return Promise.resolve({
      kind: 'counter',
      total: null,
      runs: [{ series: 1, unit: 'kWh', decimals: 0, rows }],
      gaps: [],
    });
  };
}

const choice: Choice = {
  registers: ['energy'],
  name: 'Energy',
  kind: 'counter',
  group: 'counter',
};
const counted = {
  choice,
  period: 'day' as const,
  first: parseDay('2026-11-21')!,
  comparing: true,
  // 14.30 in the building.
  now: Date.parse('2026-11-21T13:30:00Z'),
  zone: 'Europe/Oslo',
};
const measured = { ...counted, choice: { ...choice, kind: 'gauge' as const } };

test('half a day is set beside the same half of the day before', async () => {
  const { sofar } = await fetchShown({ ...counted, load: counter(() => true) });
  expect(sofar).toEqual({ value: '58', unit: 'kWh' });
});

test('what is not known throughout is not compared', async () => {
  const noon = Date.parse('2026-11-14T11:00:00Z');
  const known = (start: number) => start < noon || start >= noon + 4 * 900_000;
  const { sofar, before } = await fetchShown({ ...counted, load: counter(known) });
  expect(sofar).toBeNull();
  expect(before).not.toBeNull();
});

test('a meter that is read every hour is shown by the hour', async () => {
  const asked: Question[] = [];
  const hourly = (start: number, step: Step) => step !== 'quarter' || start % 3_600_000 === 0;
  const { step } = await fetchShown({
    ...measured,
    load: counter(hourly, asked),
    comparing: false,
  });
  expect(step).toBe('hour');
  expect(asked.map((question) => question.step)).toEqual(['quarter', 'hour']);
});

test('what goes up and down is asked for in rows for a screen, and its swing told', async () => {
  const asked: Question[] = [];
  const load = (question: Question): Promise<History> => {
    asked.push(question);
    const row = (at: number) => ({
      start: new Date(at).toISOString(),
      end: new Date(at + 3_600_000).toISOString(),
      mantissa: null,
      min: -5,
      max: 90,
      mean: 7,
      got: 60,
      expected: 60,
      from_memory: 0,
      spread_unknown: false,
    });
    const rows = [question.from, question.from + 3_600_000].map(row);
    const runs = [{ series: 1, unit: 'kW', decimals: 0, rows }];
    return Promise.resolve({ kind: 'gauge', total: null, runs, gaps: [] });
  };
  const view = {
    from: Date.parse('2026-10-01T00:00:00Z'),
    until: Date.parse('2026-11-01T00:00:00Z'),
  };
  const { all, before, step } = await fetchWindow(view, { ...measured, draws: true, load });
  expect(step).toBe('drawn');
  expect(asked.map((question) => question.step)).toEqual(['drawn', 'drawn']);
  // Half as much again on both sides of what is seen.
  expect(asked[0]?.from).toBe(view.from - (view.until - view.from) / 2);
  expect(all[0]?.slots[0]).toMatchObject({ text: '7', lowText: '-5', highText: '90' });
  expect(before?.slots[1]?.text).toBe('7');
  // A counter stays on the calendar, whose months have a sum.
  asked.length = 0;
  const days = await fetchWindow(view, {
    ...counted,
    draws: true,
    load: counter(() => true, asked),
  });
  expect(days.step).toBe('hour');
  expect(asked.map((question) => question.step)).not.toContain('drawn');
});
