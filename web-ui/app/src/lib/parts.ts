// Months of which only a part is known.
import { columns, type Columns, type Slot } from './charts/rows';
import type { Question } from './shown';
import type { History } from './wire';

interface Asked {
  register: string;
  now: number;
  zone: string;
  load: (question: Question) => Promise<History>;
}

/**
 * `found` with what part is known of those months at whose edge the knowledge begins or ends: where
 * the meter was set up, or was silent for longer than a month. What is used in a shorter silence is
 * known from the counter.
 */
export async function withParts(
  found: Columns,
  { register, now, zone, load }: Asked,
): Promise<Columns> {
  const isKnown = (slot: Slot | undefined) => slot?.text !== undefined && slot.text !== null;
  const slots = found.slots.map(async (slot, index) => {
    if (!isKnown(slot)) return slot;
    const next = found.slots[index + 1];
    const begins = !isKnown(found.slots[index - 1]);
    const ends = next !== undefined && next.start < now && !isKnown(next);
    if (!begins && !ends) return slot;

    const month = { from: slot.start, until: slot.end };
    const days = columns(
      await load({ register, ...month, step: 'day' }),
      month,
      'day',
      zone,
    )?.slots;
    const first = days?.find(isKnown);
    const last = days?.findLast(isKnown);
    const from = begins && first ? first.start : slot.start;
    const until = ends && last ? last.end : slot.end;
    const whole = from === slot.start && until === slot.end;
    return whole ? slot : { ...slot, partly: { from, until } };
  });
  return { ...found, slots: await Promise.all(slots) };
}
