// A value that goes up and down in as many rows as a chart has pixels: the server tells of each the least
// and the most, so that no spike of half a million readings is lost. The rows are no steps of the calendar.
import type { Span } from '../time';
import type { History } from '../wire';
import { columnsOn, type Columns } from './rows';

/** For what is fetched of a window, half of which is seen: about a row for each pixel. */
export const DRAWN_ROWS = 2000;

/** The histories on one axis, each slot of one beside the same slot of the others. */
export function drawnColumns(histories: History[]): (Columns | null)[] {
  const slots = slotsOf(histories);
  return histories.map((it) => columnsOn(it, slots));
}

/** Where some of them have a row. One lasts until the next; where that is far off, the hole is one, too. */
function slotsOf(histories: History[]): Span[] {
  const ends = new Map<number, number>();
  for (const { start, end } of histories.flatMap((it) => it.runs.flatMap((run) => run.rows))) {
    ends.set(Date.parse(start), Date.parse(end));
  }
  const rows = [...ends].toSorted(([a], [b]) => a - b);
  const next = (index: number) => rows[index + 1]?.[0];
  const apart = rows
    .map(([from], index) => (next(index) ?? from) - from)
    .slice(0, -1)
    .toSorted((a, b) => a - b);
  // A meter that is read once a day has no row in between, and is not gone.
  const most = (apart[Math.floor(apart.length / 2)] ?? 0) * 2.5;
  return rows.flatMap(([from, until], index) => {
    const after = next(index) ?? until;
    if (after <= until) return [{ from, until }];
    if (after - from <= most) return [{ from, until: after }];
    return [
      { from, until },
      { from: until, until: after },
    ];
  });
}

/** Of `before`, what was `by` milliseconds away from each slot of `columns`: slot beside slot. */
export function moved(before: Columns, columns: Columns, by: number): Columns {
  let index = 0;
  const slots = columns.slots.map((slot) => {
    const middle = (slot.start + slot.end) / 2 + by;
    while ((before.slots[index]?.end ?? Infinity) <= middle) index += 1;
    const found = before.slots[index];
    if (found && found.start <= middle) return found;
    return {
      ...slot,
      text: null,
      value: null,
      lowText: null,
      highText: null,
      low: null,
      high: null,
    };
  });
  return { ...before, slots };
}
