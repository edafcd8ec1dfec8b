// The last twelve months of a counter, each beside the same month a year before, where the two may be
// compared: both known from end to end. The month that runs is compared up to the same moment.
import { columns, type Columns } from './charts/rows';
import { withParts } from './parts';
import { fetchSofar, type Question } from './shown';
import { civil, firstOf, midnight, shifted, spanOf, type Span } from './time';
import type { Amount, History } from './wire';

type Load = (question: Question) => Promise<History>;

/** A year of months. */
export interface Months {
  span: Span;
  /** `null` if nothing is known of them all. A month of which a part is known says which. */
  year: Columns | null;
  /** For each month what it may be compared with; `null` where nothing is known, or not all. */
  before: (Amount | null)[];
  /** For each month whether something of it a year before is known, but not all. */
  beforePartly: boolean[];
}

/** Fetches the twelve months up to `now`. */
export async function fetchMonths(
  register: string,
  now: number,
  zone: string,
  load: Load,
): Promise<Months> {
  const running = firstOf('month', civil(now, zone));
  const start = (by: number) => midnight(shifted('month', running, by), zone);
  const span = { from: start(-11), until: start(1) };
  const earlier = { from: start(-23), until: start(-11) };
  const inMonths = async (part: Span) => {
    const found = columns(await load({ register, ...part, step: 'month' }), part, 'month', zone);
    return found && withParts(found, { register, now, zone, load });
  };
  const [year, earlierYear] = await Promise.all([inMonths(span), inMonths(earlier)]);

  const sameUnit = earlierYear?.unit === year?.unit;
  const before = (year?.slots ?? []).map((slot, index) => {
    const then = earlierYear?.slots[index];
    if (!year || !then || !sameUnit || slot.partly || then.partly || then.text === null)
      return null;
    return { value: then.text, unit: year.unit };
  });
  const last = before.length - 1;
  if (before[last]) {
    const month = spanOf('month', running, zone);
    const then = { from: start(-12), until: start(-11) };
    const sofar = await fetchSofar(register, month, then, { period: 'month', now, zone, load });
    before[last] = sofar?.unit === year?.unit ? sofar : null;
  }
  const beforePartly = (earlierYear?.slots ?? []).map((slot) => slot.partly !== null);
  return { span, year, before, beforePartly };
}
