// The words on a time axis: civil units, in the building's time and the page's language.
import { t, type Lang } from '../text.svelte';
import {
  civil,
  clock,
  dayLong,
  dayShort,
  monthLong,
  monthShort,
  sameDay,
  weekdayShort,
  weekNumber,
  type Period,
  type Span,
} from '../time';
import type { Step } from '../wire';
import { capital } from '../words';
import type { Tick } from './TimeChart.svelte';

/** The ticks of a period that is divided into `slots`. */
export function periodTicks(period: Period, slots: Span[], zone: string, lang: Lang): Tick[] {
  const end = slots.at(-1)?.until;
  const ticks: Tick[] = [];
  let lastHour = -1;
  for (const { from, until } of slots) {
    const { hour, minute, day } = civil(from, zone);
    const middle = (from + until) / 2;
    switch (period) {
      case 'day':
        // The hour that comes twice in autumn is named once.
        if (minute === 0 && hour % 3 === 0 && hour !== lastHour) {
          const word = String(hour).padStart(2, '0');
          ticks.push({ at: from, wide: word, narrow: hour % 6 === 0 ? word : '' });
        }
        if (minute === 0) lastHour = hour;
        break;
      case 'week':
        if (hour === 0 && minute === 0) {
          const word = weekdayShort(from, zone, lang);
          // The name stands under the middle of its day.
          ticks.push({ at: from + 12 * 3_600_000, wide: `${word} ${day}.`, narrow: String(day) });
        }
        break;
      case 'month':
        if (day === 1 || day % 5 === 0) {
          ticks.push({
            at: middle,
            wide: String(day),
            narrow: day === 1 || day % 10 === 0 ? String(day) : '',
          });
        }
        break;
      case 'year': {
        const word = monthShort(middle, zone, lang);
        ticks.push({ at: middle, wide: word, narrow: word.charAt(0) });
        break;
      }
    }
  }
  if (period === 'day' && end !== undefined) ticks.push({ at: end, wide: '24', narrow: '24' });
  return ticks;
}

/** What a period is called: `I dag`, `Lørdag 14. november`, `Uke 47`, `November 2026`, `2026`. */
export function periodTitle(
  period: Period,
  { from, until }: Span,
  now: number,
  zone: string,
  lang: Lang,
): string {
  const first = civil(from, zone);
  switch (period) {
    case 'day': {
      if (sameDay(from, now, zone)) return t('period.today');
      const year = first.year === civil(now, zone).year ? '' : ` ${first.year}`;
      return capital(dayLong(from, zone, lang)) + year;
    }
    case 'week': {
      // Thursday decides which year a week belongs to.
      const thursday = civil((from + until) / 2, zone).year;
      const year = thursday === civil(now, zone).year ? '' : ` ${thursday}`;
      return t('period.week.title', { n: String(weekNumber(first)) }) + year;
    }
    case 'month':
      return capital(monthLong(from, zone, lang));
    case 'year':
      return String(first.year);
  }
}

/** What a step is called: `21. nov. 14.00–15.00`, `lør. 21. nov.`, `November 2026`. */
export function slotTitle(
  step: Step,
  { start, end }: { start: number; end: number },
  zone: string,
  lang: Lang,
): string {
  switch (step) {
    case 'quarter':
    case 'hour': {
      const day = dayShort(start, zone, lang, start);
      return `${day} ${clock(start, zone, lang)}–${clock(end, zone, lang)}`;
    }
    case 'day':
      return `${weekdayShort(start, zone, lang)} ${dayShort(start, zone, lang, start)}`;
    case 'month':
      return capital(monthLong(start, zone, lang));
  }
}
