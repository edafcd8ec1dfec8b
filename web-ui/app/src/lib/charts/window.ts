// A window of time of any width, from years to minutes: how it is moved, what steps show it, which
// words stand under it.
import { decimalText, sum } from '../number';
import type { Lang } from '../text.svelte';
import {
  addDays,
  civil,
  clock,
  dayShort,
  firstOf,
  HOUR,
  midnight,
  monthShort,
  sameDay,
  shifted,
  weekday,
  weekdayShort,
  type Span,
} from '../time';
import type { Step } from '../wire';
import { mantissaOf, steps, type Columns, type Slot } from './rows';
import type { Tick } from './TimeChart.svelte';

const MINUTE = 60_000;
const DAY = 24 * HOUR;

/** Nothing is read more often than every few seconds: less shows a single reading. */
export const NARROWEST = 10 * MINUTE;
/** What the history can be asked for at once, with room on both sides. */
export const WIDEST = 1_700 * DAY;

/** A step of the calendar, as many rows as a chart has room for, or each reading by itself. */
export type Fine = Step | 'drawn' | 'reading';

/** Which steps show a window of `width` best. */
export function fineFor(width: number): Step | 'reading' {
  if (width > 800 * DAY) return 'month';
  if (width > 45 * DAY) return 'day';
  if (width > 4 * DAY) return 'hour';
  return width > 2 * HOUR ? 'quarter' : 'reading';
}

/** `view` grown by `factor` around `at`, which stays where it is on the page. */
export function zoomed(view: Span, at: number, factor: number, now: number): Span {
  const width = view.until - view.from;
  const wanted = Math.min(WIDEST, Math.max(NARROWEST, width * factor));
  const share = (Math.min(Math.max(at, view.from), view.until) - view.from) / width;
  const from = at - share * wanted;
  return held({ from, until: from + wanted }, now);
}

/** `view` moved by `by` milliseconds. */
export function panned(view: Span, by: number, now: number): Span {
  return held({ from: view.from + by, until: view.until + by }, now);
}

/** Not farther into the future than the half of it, where nothing can be. */
function held({ from, until }: Span, now: number): Span {
  const by = Math.max(0, until - (now + (until - from) / 2));
  return { from: Math.round(from - by), until: Math.round(until - by) };
}

/** What is fetched for a window: as much again on both sides, in whole steps. */
export function around({ from, until }: Span, fine: Fine, zone: string): Span {
  const half = (until - from) / 2;
  return whole({ from: from - half, until: until + half }, fine, zone);
}

/** `span` in whole steps. */
export function whole({ from, until }: Span, fine: Fine, zone: string): Span {
  if (fine === 'reading' || fine === 'drawn') {
    return { from: Math.floor(from), until: Math.ceil(until) };
  }
  if (fine === 'quarter' || fine === 'hour') {
    const length = fine === 'hour' ? HOUR : HOUR / 4;
    return { from: Math.floor(from / length) * length, until: Math.ceil(until / length) * length };
  }
  const period = fine === 'day' ? 'day' : 'month';
  const begin = (at: number) => firstOf(period, civil(at, zone));
  const last = midnight(begin(until), zone);
  return {
    from: midnight(begin(from), zone),
    until: last === until ? until : midnight(shifted(period, begin(until), 1), zone),
  };
}

/** The window beside which a window is fairly read: the same weekdays a week or a year before. */
export function windowBefore({ from, until }: Span, zone: string): Span {
  const days = until - from <= 7 * DAY ? 7 : 364;
  // By the calendar, so that an hour of the day stays one when the clocks have changed.
  const back = (at: number) => {
    const start = midnight(civil(at, zone), zone);
    return midnight(addDays(civil(at, zone), -days), zone) + (at - start);
  };
  return { from: back(from), until: back(until) };
}

/** The address's words for an instant: to the second. */
export const instant = (at: number) => new Date(at).toISOString().replace(/\.\d+Z$/, 'Z');

/** The window that an address names. */
export function windowOf(from: string | null, until: string | null): Span | null {
  const span = { from: Date.parse(from ?? ''), until: Date.parse(until ?? '') };
  const width = span.until - span.from;
  return width >= NARROWEST - 1000 && width <= WIDEST + 1000 ? span : null;
}

/** `21. nov. 08.00–14.00`, `12. okt. – 3. nov.` */
export function windowTitle({ from, until }: Span, now: number, zone: string, lang: Lang): string {
  const day = (at: number) => dayShort(at, zone, lang, now);
  const time = (at: number) => clock(at, zone, lang);
  if (until - from > 4 * DAY) return `${day(from)} – ${day(until - 1)}`;
  if (sameDay(from, until - 1, zone)) return `${day(from)} ${time(from)}–${time(until)}`;
  return `${day(from)} ${time(from)} – ${day(until)} ${time(until)}`;
}

const TICKS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * MINUTE);

/** At most eight words on the axis, at round times of the building. */
export function windowTicks(view: Span, now: number, zone: string, lang: Lang): Tick[] {
  const width = view.until - view.from;
  const found: Tick[] = [];
  const push = (at: number, wide: string, narrow = wide) => {
    const index = found.length;
    found.push({ at, wide, narrow: index % 2 === 0 ? narrow : '' });
  };
  const short = TICKS.find((it) => width / it <= 8);
  if (short !== undefined) {
    const start = midnight(civil(view.from, zone), zone);
    for (
      let at = start + Math.ceil((view.from - start) / short) * short;
      at < view.until;
      at += short
    ) {
      const { hour, minute } = civil(at, zone);
      push(at, hour === 0 && minute === 0 ? dayShort(at, zone, lang, now) : clock(at, zone, lang));
    }
    return found;
  }
  const days = [1, 2, 7, 14].find((it) => width / (it * DAY) <= 9);
  if (days !== undefined) {
    let day = civil(view.from, zone);
    if (days >= 7) day = { ...day, ...addDays(day, (8 - weekday(day)) % 7) };
    let at = midnight(day, zone);
    while (at < view.until) {
      if (at >= view.from) {
        const name = days === 1 ? `${weekdayShort(at, zone, lang)} ` : '';
        push(at, name + dayShort(at, zone, lang, now), dayShort(at, zone, lang, now));
      }
      day = { ...day, ...addDays(day, days) };
      at = midnight(day, zone);
    }
    return found;
  }
  const months = [1, 2, 3, 6, 12].find((it) => width / (it * 30.4 * DAY) <= 13) ?? 12;
  let month = firstOf('month', civil(view.from, zone));
  while (midnight(month, zone) < view.until) {
    const at = midnight(month, zone);
    if (at >= view.from && (month.month - 1) % months === 0) {
      push(at, month.month === 1 ? String(month.year) : monthShort(at, zone, lang));
    }
    month = shifted('month', month, 1);
  }
  return found;
}

/** The slots that lie in `view` in full, and what they cover. */
export function inside(columns: Columns, view: Span): { columns: Columns; span: Span } | null {
  const slots = columns.slots.filter((slot) => slot.start >= view.from && slot.end <= view.until);
  const [first, last] = [slots[0], slots.at(-1)];
  if (!first || !last) return null;
  return { columns: { ...columns, slots }, span: { from: first.start, until: last.end } };
}

/** A reading, as the API tells it. */
export interface Told {
  at: string;
  value: string | null;
  unit: string;
  series: number;
  origin: string;
}

/** Readings as slots: a gauge around each, a counter from each to the next. */
export function readingColumns(told: Told[], counter: boolean): Columns | null {
  const unit = told.find((it) => it.value !== null)?.unit;
  if (unit === undefined) return null;
  const readings = told
    .filter((it) => it.unit === unit)
    .map((it) => ({ ...it, when: Date.parse(it.at) }))
    .toSorted((a, b) => a.when - b.when);
  const places = (text: string | null) => text?.split('.')[1]?.length ?? 0;
  const decimals = Math.max(...readings.map((it) => places(it.value)));
  const distances = readings
    .slice(1)
    .map((it, index) => it.when - (readings[index]?.when ?? 0))
    .toSorted((a, b) => a - b);
  const usual = distances[Math.floor(distances.length / 2)] ?? 0;
  // What is farther apart than this has a hole between it.
  const most = Math.max(usual * 2.5, 1000);

  const slot = (
    start: number,
    end: number,
    text: string | null,
    at: number,
    origin: string,
  ): Slot => {
    const value = text === null ? null : Number(text);
    const known = text === null ? 0 : 1;
    const plain = counter ? { lowText: null, highText: null } : { lowText: text, highText: text };
    return {
      start,
      end,
      at,
      text,
      ...plain,
      value,
      low: null,
      high: null,
      got: known,
      expected: null,
      fromMemory: origin === 'meter_memory',
      spreadUnknown: false,
      partly: null,
    };
  };
  const slots: Slot[] = [];
  readings.forEach((it, index) => {
    const next = readings[index + 1];
    const before = readings[index - 1];
    if (counter) {
      if (!next) return;
      const near = next.when - it.when <= most && next.series === it.series;
      const known = near && it.value !== null && next.value !== null;
      const used = known
        ? sum([mantissaOf(next.value ?? '', decimals), -mantissaOf(it.value ?? '', decimals)])
        : null;
      const text = used === null ? null : decimalText(used, decimals);
      slots.push(slot(it.when, next.when, text, next.when, next.origin));
      return;
    }
    const half = (other: typeof it | undefined) =>
      Math.min(other ? Math.abs(other.when - it.when) : usual, most) / 2;
    slots.push(slot(it.when - half(before), it.when + half(next), it.value, it.when, it.origin));
    // A hole is cut out of the line.
    if (next && next.when - it.when > most) {
      const [start, end] = [it.when + most / 2, next.when - most / 2];
      if (end > start) slots.push(slot(start, end, null, start, ''));
    }
  });
  return { unit, decimals, slots, leftOut: [] };
}

/** The slots of `span` in steps of the calendar. */
export function windowSteps(span: Span, fine: Fine, zone: string): Span[] {
  return fine === 'reading' || fine === 'drawn' ? [] : steps(span, fine, zone);
}
