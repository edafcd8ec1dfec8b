// The rows of a history as the points of a chart: one slot for each step of the calendar, the runs of
// exchanged meters joined where they count the same unit.
import { approximate, decimalText, sum, type Mantissa } from '../number';
import { addDays, civil, HOUR, midnight, shifted, type Period, type Span } from '../time';
import type { History, HistoryRow, Step } from '../wire';

/** One step of a chart. */
export interface Slot {
  start: number;
  end: number;
  /** Of a single reading: when it was. */
  at?: number;
  /** Decimal text of what was used, or of the mean; `null` where nothing is known. */
  text: string | null;
  /** Of a gauge: decimal text of the lowest and highest. */
  lowText: string | null;
  highText: string | null;
  /** The same for pixels. */
  value: number | null;
  low: number | null;
  high: number | null;
  got: number;
  expected: number | null;
  /** Whether it is told from what the meter remembered. */
  fromMemory: boolean;
  spreadUnknown: boolean;
  /** What part of it is known, where that was asked and is not all of it. */
  partly: Span | null;
}

/** A history on the calendar. */
export interface Columns {
  unit: string;
  decimals: number;
  slots: Slot[];
  /** Units of older runs that cannot stand on this chart. */
  leftOut: string[];
}

/** Which steps show a period best: a counter in coarser ones than a value that goes up and down. */
export function stepFor(period: Period, counter: boolean): Step {
  switch (period) {
    case 'day':
      return counter ? 'hour' : 'quarter';
    case 'week':
      return 'hour';
    case 'month':
      return 'day';
    case 'year':
      return 'month';
  }
}

/** The steps of the calendar in `span`. */
export function steps({ from, until }: Span, step: Step, zone: string): Span[] {
  const found: Span[] = [];
  if (step === 'quarter' || step === 'hour') {
    const length = step === 'hour' ? HOUR : HOUR / 4;
    for (let at = from; at < until; at += length) found.push({ from: at, until: at + length });
    return found;
  }
  let day = civil(from, zone);
  let at = from;
  while (at < until) {
    const { year, month, day: number } = day;
    const next =
      step === 'day'
        ? addDays({ year, month, day: number }, 1)
        : shifted('month', { year, month, day: 1 }, 1);
    const end = midnight(next, zone);
    found.push({ from: at, until: end });
    day = { ...day, ...next };
    at = end;
  }
  return found;
}

/** The history's rows in their slots. `null` if it has no run at all. */
export function columns(history: History, span: Span, step: Step, zone: string): Columns | null {
  return columnsOn(history, steps(span, step, zone));
}

/** The same in slots that are no steps of the calendar; each row belongs to the one that begins with it. */
export function columnsOn(history: History, slots: Span[]): Columns | null {
  const newest = history.runs.at(-1);
  if (!newest) return null;
  const fitting = history.runs.filter((run) => run.unit === newest.unit);
  const decimals = Math.max(...fitting.map((run) => run.decimals));
  const byStart = new Map<number, HistoryRow[]>();
  for (const run of fitting) {
    const scale = (mantissa: Mantissa | null) => scaled(mantissa, decimals - run.decimals);
    for (const row of run.rows) {
      const start = Date.parse(row.start);
      const { mantissa, min, max, mean } = row;
      const same = {
        ...row,
        mantissa: scale(mantissa),
        min: scale(min),
        max: scale(max),
        mean: scale(mean),
      };
      byStart.set(start, [...(byStart.get(start) ?? []), same]);
    }
  }
  return {
    unit: newest.unit,
    decimals,
    slots: slots.map((slot) =>
      slotOf(slot, byStart.get(slot.from) ?? [], history.kind === 'counter', decimals),
    ),
    leftOut: [...new Set(history.runs.map((run) => run.unit))].filter((it) => it !== newest.unit),
  };
}

function scaled(mantissa: Mantissa | null, places: number): bigint | null {
  return mantissa === null ? null : BigInt(mantissa) * 10n ** BigInt(places);
}

/** One slot; of a meter that was exchanged within it, both devices count. */
function slotOf(slot: Span, rows: HistoryRow[], counter: boolean, decimals: number): Slot {
  const known = (pick: (row: HistoryRow) => Mantissa | null) =>
    rows.map(pick).filter((it): it is Mantissa => it !== null);
  const used = known((row) => row.mantissa);
  const lows = known((row) => row.min).map(BigInt);
  const highs = known((row) => row.max).map(BigInt);
  const low = lows.length ? lows.reduce((a, b) => (a < b ? a : b)) : null;
  const high = highs.length ? highs.reduce((a, b) => (a > b ? a : b)) : null;
  const shown = counter
    ? used.length
      ? sum(used)
      : null
    : (known((row) => row.mean ?? row.mantissa).at(-1) ?? null);
  const expected = rows.map((row) => row.expected).filter((it) => it !== null);
  const text = (mantissa: Mantissa | null) =>
    mantissa === null ? null : decimalText(mantissa, decimals);
  const pixel = (mantissa: Mantissa | null) =>
    mantissa === null ? null : approximate(mantissa, decimals);
  return {
    start: slot.from,
    end: slot.until,
    text: text(shown),
    lowText: counter ? null : text(low),
    highText: counter ? null : text(high),
    value: pixel(shown),
    low: counter ? null : pixel(low),
    high: counter ? null : pixel(high),
    got: rows.reduce((all, row) => all + row.got, 0),
    // The portfolio's rows do not tell.
    fromMemory: rows.some((row) => (row.from_memory ?? 0) > 0),
    expected: expected.length ? expected.reduce((all, it) => all + it, 0) : null,
    spreadUnknown: rows.some((row) => row.spread_unknown),
    partly: null,
  };
}

/** What was used in all slots that are known, as decimal text; `null` if none is. */
export function totalOf({ slots, decimals }: Columns): string | null {
  const known = slots.flatMap((slot) => (slot.text === null ? [] : [slot.text]));
  if (known.length === 0) return null;
  return decimalText(sum(known.map((text) => mantissaOf(text, decimals))), decimals);
}

/** The lowest and highest of a gauge over all slots. */
export function extremesOf({ slots, decimals }: Columns): { low: string; high: string } | null {
  const lows = slots.flatMap(({ lowText }) => (lowText === null ? [] : [lowText]));
  const highs = slots.flatMap(({ highText }) => (highText === null ? [] : [highText]));
  const order = (a: string, b: string) => {
    const difference = mantissaOf(a, decimals) - mantissaOf(b, decimals);
    return difference < 0n ? -1 : Number(difference > 0n);
  };
  const low = lows.toSorted(order)[0];
  const high = highs.toSorted(order).at(-1);
  return low === undefined || high === undefined ? null : { low, high };
}

/** The mantissa of decimal text that has at most `decimals` places. */
export function mantissaOf(text: string, decimals: number): bigint {
  const [whole = '0', part = ''] = text.split('.');
  if (decimals < 0) return BigInt(whole) / 10n ** BigInt(-decimals);
  return BigInt(whole + part.padEnd(decimals, '0'));
}
