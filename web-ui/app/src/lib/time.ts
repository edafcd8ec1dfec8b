// Civil time of the building: its days, weeks, months and years, and how an instant is written.
//
// An instant is milliseconds UTC. The browser may stand in another time zone than the building; what
// is shown is always the building's time. A day has 23 or 25 hours twice a year.
import type { Lang } from './text.svelte';

/** A day of the calendar. */
export interface Day {
  year: number;
  month: number;
  day: number;
}

export type Period = 'day' | 'week' | 'month' | 'year';
export const PERIODS: readonly Period[] = ['year', 'month', 'week', 'day'];

/** From `from` up to, but without, `until`. */
export interface Span {
  from: number;
  until: number;
}

const LOCALE = { nb: 'nb-NO', en: 'en-GB', da: 'da-DK' } as const;
export const HOUR = 3_600_000;

const formats = new Map<string, Intl.DateTimeFormat>();

function formatter(locale: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = locale + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) formats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
  return found;
}

interface Civil extends Day {
  hour: number;
  minute: number;
  second: number;
}

/** What the building's clock and calendar show at `at`. */
export function civil(at: number, zone: string): Civil {
  const parts = formatter('en-GB', {
    timeZone: zone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  }).formatToParts(at);
  const part = (type: Intl.DateTimeFormatPartTypes) =>
    Number(parts.find((it) => it.type === type)?.value ?? 0);
  return {
    year: part('year'),
    month: part('month'),
    day: part('day'),
    hour: part('hour'),
    minute: part('minute'),
    second: part('second'),
  };
}

/** When the day begins in the building: its midnight, or the first instant after it. */
export function midnight({ year, month, day }: Day, zone: string): number {
  return showing(Date.UTC(year, month - 1, day), zone);
}

/** When the building's clock shows what a field for a date and time holds; null of anything else. */
export function instantOf(field: string, zone: string): number | null {
  const wanted = Date.parse(`${field}Z`);
  return Number.isNaN(wanted) ? null : showing(wanted, zone);
}

/** What a field for a date and time holds when the building's clock shows `at`, to the second. */
export function fieldOf(at: number, zone: string): string {
  const { hour, minute, second, ...day } = civil(at, zone);
  const two = (part: number) => String(part).padStart(2, '0');
  return `${isoDay(day)}T${two(hour)}:${two(minute)}:${two(second)}`;
}

/** When the building's clock shows what one in London's winter does at `wanted`. */
function showing(wanted: number, zone: string): number {
  let at = wanted;
  // Twice, because the first guess may lie on the other side of a clock change.
  for (let round = 0; round < 2; round += 1) {
    const seen = civil(at, zone);
    const shown = Date.UTC(
      seen.year,
      seen.month - 1,
      seen.day,
      seen.hour,
      seen.minute,
      seen.second,
    );
    at += wanted - shown;
  }
  return at;
}

/** `days` later on the calendar. */
export function addDays({ year, month, day }: Day, days: number): Day {
  const date = new Date(Date.UTC(year, month - 1, day + days));
  return { year: date.getUTCFullYear(), month: date.getUTCMonth() + 1, day: date.getUTCDate() };
}

/** 1 is Monday, 7 Sunday. */
export function weekday({ year, month, day }: Day): number {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDay() || 7;
}

/** The first day of the period that holds `day`. */
export function firstOf(period: Period, day: Day): Day {
  switch (period) {
    case 'day':
      return day;
    case 'week':
      return addDays(day, 1 - weekday(day));
    case 'month':
      return { ...day, day: 1 };
    case 'year':
      return { ...day, month: 1, day: 1 };
  }
}

/** The first day of the period `by` periods later. */
export function shifted(period: Period, first: Day, by: number): Day {
  switch (period) {
    case 'day':
      return addDays(first, by);
    case 'week':
      return addDays(first, 7 * by);
    case 'month': {
      const months = first.year * 12 + first.month - 1 + by;
      return { year: Math.floor(months / 12), month: (months % 12) + 1, day: 1 };
    }
    case 'year':
      return { ...first, year: first.year + by };
  }
}

/** The period that begins on `first`, as instants. */
export function spanOf(period: Period, first: Day, zone: string): Span {
  return { from: midnight(first, zone), until: midnight(shifted(period, first, 1), zone) };
}

/** The period beside which a period is fairly read: the same weekday, the week before, the year before. */
export function comparable(period: Period, first: Day): Day {
  switch (period) {
    case 'day':
      return addDays(first, -7);
    case 'week':
      return addDays(first, -7);
    case 'month':
      return { ...first, year: first.year - 1 };
    case 'year':
      return { ...first, year: first.year - 1 };
  }
}

/** `2026-11-21`: in addresses and files. */
export function isoDay({ year, month, day }: Day): string {
  return `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
}

/** The day that `text` names, if it names one. */
export function parseDay(text: string | null): Day | null {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? '');
  if (!match) return null;
  const day = { year: Number(match[1]), month: Number(match[2]), day: Number(match[3]) };
  return isoDay(addDays(day, 0)) === text ? day : null;
}

/** `14.32` in Norwegian and Danish, `14:32` in English. */
export function clock(at: number, zone: string, lang: Lang, seconds = false): string {
  const { hour, minute, second } = civil(at, zone);
  const point = lang === 'en' ? ':' : '.';
  return [hour, minute, ...(seconds ? [second] : [])].map(two).join(point);
}

/** `21. nov.`, with the year where it is not this one. */
export function dayShort(at: number, zone: string, lang: Lang, now: number): string {
  const { year } = civil(at, zone);
  const thisYear = civil(now, zone).year === year;
  return formatter(LOCALE[lang], {
    timeZone: zone,
    day: 'numeric',
    month: 'short',
    ...(thisYear ? {} : { year: 'numeric' }),
  }).format(at);
}

/** `14. sep. 2028`, with `14.26` behind it: what a meter wrote in ISO 8601, by its own clock; else null. */
export function dateWritten(text: string, lang: Lang): string | null {
  const [, date = '', time] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::\d\d)?)?$/.exec(text) ?? [];
  const day = parseDay(date);
  if (!day) return null;
  const written = formatter(LOCALE[lang], {
    timeZone: 'UTC',
    day: 'numeric',
    month: 'short',
    year: 'numeric',
  }).format(Date.UTC(day.year, day.month - 1, day.day));
  return time ? `${written} ${lang === 'en' ? time : time.replace(':', '.')}` : written;
}

/** `lørdag 21. november`. */
export function dayLong(at: number, zone: string, lang: Lang): string {
  const format = { timeZone: zone, weekday: 'long', day: 'numeric', month: 'long' } as const;
  return formatter(LOCALE[lang], format).format(at).replace(',', '');
}

/** `november 2026`. */
export function monthLong(at: number, zone: string, lang: Lang): string {
  return formatter(LOCALE[lang], { timeZone: zone, month: 'long', year: 'numeric' }).format(at);
}

/** `nov.` */
export function monthShort(at: number, zone: string, lang: Lang): string {
  return formatter(LOCALE[lang], { timeZone: zone, month: 'short' }).format(at);
}

/** `lør.` */
export function weekdayShort(at: number, zone: string, lang: Lang): string {
  return formatter(LOCALE[lang], { timeZone: zone, weekday: 'short' }).format(at);
}

/** `lørdag` */
export function weekdayLong(at: number, zone: string, lang: Lang): string {
  return formatter(LOCALE[lang], { timeZone: zone, weekday: 'long' }).format(at);
}

/** The ISO week in which `day` lies: its Thursday decides the year. */
export function weekNumber(day: Day): number {
  const thursday = addDays(day, 4 - weekday(day));
  const first = Date.UTC(thursday.year, 0, 1);
  const at = Date.UTC(thursday.year, thursday.month - 1, thursday.day);
  return Math.floor((at - first) / (7 * 24 * HOUR)) + 1;
}

/** Whether two instants lie on one day of the building. */
export function sameDay(a: number, b: number, zone: string): boolean {
  return isoDay(civil(a, zone)) === isoDay(civil(b, zone));
}

/** How long ago, for the texts of `age`: seconds under 2 min, minutes under 2 h, then time, then date. */
export type Age =
  { unit: 's' | 'min'; n: number } | { unit: 'clock' | 'date'; clock: string; date: string };

export function age(at: number, now: number, zone: string, lang: Lang): Age {
  const seconds = Math.max(0, Math.floor((now - at) / 1000));
  if (seconds < 120) return { unit: 's', n: seconds };
  if (seconds < 7200) return { unit: 'min', n: Math.floor(seconds / 60) };
  const written = { clock: clock(at, zone, lang), date: dayShort(at, zone, lang, now) };
  return { unit: sameDay(at, now, zone) ? 'clock' : 'date', ...written };
}

function two(n: number): string {
  return String(n).padStart(2, '0');
}
