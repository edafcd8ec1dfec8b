// What the history of a meter shows for a period: its rows, and beside them those of a period before.
import { drawnColumns, moved } from './charts/drawn';
import { columns, stepFor, steps, totalOf, type Columns } from './charts/rows';
import {
  around,
  fineFor,
  readingColumns,
  whole,
  windowBefore,
  type Fine,
  type Told,
} from './charts/window';
import { withParts } from './parts';
import { comparable, HOUR, spanOf, type Day, type Period, type Span } from './time';
import type { Amount, History, Kind, Step } from './wire';

/** Something that a meter's history can be about. */
export interface Choice {
  /** One register, or two of one unit that belong together. */
  registers: string[];
  name: string;
  kind: Kind;
  /** Where it stands in the list. */
  group: 'counter' | 'gauge' | 'kept';
}

/** What is asked of the server. */
export interface Question {
  register: string;
  from: number;
  until: number;
  /** Of the calendar, or rows as there is room for. */
  step: Step | 'drawn';
}

/** What is asked for. */
export interface Wanted {
  choice: Choice;
  period: Period;
  /** The first day of the period. */
  first: Day;
  comparing: boolean;
  /** Nothing within an hour is shown to whoever looks. */
  hourly?: boolean;
  /** The server tells rows that are no steps of the calendar. */
  draws?: boolean;
  now: number;
  zone: string;
  load: (question: Question) => Promise<History>;
}

/** A period of the calendar, or a window that somebody has zoomed to. */
export type Scope = Period | 'window';

/** Whether rows are steps of the calendar. */
export const ofCalendar = (step: Fine): step is Step => step !== 'drawn' && step !== 'reading';

/** The single readings of a span; `null` if they are too many for a chart. */
export type LoadReadings = (register: string, span: Span) => Promise<Told[] | null>;

/** What came. */
export interface Shown {
  period: Scope;
  /** What was fetched: of a window more than is seen. */
  span: Span;
  step: Fine;
  choice: Choice;
  /** One for each register of the choice. */
  histories: History[];
  /** Those of them that have a row, on the calendar. */
  all: Columns[];
  /** The first of them in the period before, slot beside slot. */
  before: Columns | null;
  beforeSpan: Span;
  /** What was used in the period before, up to the same moment. */
  sofar: Amount | null;
}

/** Fetches a period, in steps as fine as the meter is read. */
export async function fetchShown(wanted: Wanted): Promise<Shown> {
  const { choice, period, first, comparing, zone, load } = wanted;
  const span = spanOf(period, first, zone);
  const beforeSpan = spanOf(period, comparable(period, first), zone);
  const inSteps = (step: Step) =>
    Promise.all(choice.registers.map((register) => load({ register, ...span, step })));

  let step = stepFor(period, choice.kind === 'counter');
  if (step === 'quarter' && wanted.hourly) step = 'hour';
  let histories = await inSteps(step);
  if (step === 'quarter' && sparse(histories[0], span, wanted)) {
    step = 'hour';
    histories = await inSteps(step);
  }
  const onCalendar = async (register: string, history: History, part: Span) => {
    const found = columns(history, part, step, zone);
    if (!found || step !== 'month' || history.kind !== 'counter') return found;
    return withParts(found, { register, now: wanted.now, zone, load });
  };
  const fetchBefore = async (register: string) =>
    onCalendar(register, await load({ register, ...beforeSpan, step }), beforeSpan);

  const compared = comparing ? choice.registers[0] : undefined;
  const [all, before, sofar] = await Promise.all([
    Promise.all(histories.map((it, at) => onCalendar(choice.registers[at] ?? '', it, span))),
    compared ? fetchBefore(compared) : null,
    compared && choice.kind === 'counter' ? fetchSofar(compared, span, beforeSpan, wanted) : null,
  ]);
  const known = all.filter((it) => it !== null);
  return { period, span, step, choice, histories, all: known, before, beforeSpan, sofar };
}

/** Whether the meter is read more seldom than every quarter: its line would be a row of dots. */
function sparse(
  history: History | undefined,
  span: Span,
  { now, zone }: Pick<Wanted, 'now' | 'zone'>,
): boolean {
  const all = history && columns(history, span, 'quarter', zone);
  const past = all?.slots.filter((slot) => slot.end <= now) ?? [];
  const known = past.filter((slot) => slot.text !== null).length;
  return known > 0 && known * 2 < past.length;
}

/**
 * What was used before, up to the same moment of the period: half a day is not set beside a whole
 * one. In finer steps than the chart's, and nothing at all if a part of it is unknown.
 */
export async function fetchSofar(
  register: string,
  span: Span,
  before: Span,
  { period, hourly, now, zone, load }: Pick<Wanted, 'period' | 'hourly' | 'now' | 'zone' | 'load'>,
): Promise<Amount | null> {
  const step = period === 'year' ? 'day' : period === 'day' && !hourly ? 'quarter' : 'hour';
  // A meter that is read every hour fills one quarter of four.
  const mayLack = step === 'quarter' ? 3 : 0;
  const elapsed = now - span.from;
  const passed = steps(before, step, zone).filter(({ until }) => until - before.from <= elapsed);
  const until = passed.at(-1)?.until;
  if (until === undefined) return null;
  const part = { from: before.from, until };
  const found = columns(await load({ register, ...part, step }), part, step, zone);
  let lacking = 0;
  for (const { text } of found?.slots ?? []) {
    lacking = text === null ? lacking + 1 : 0;
    if (lacking > mayLack) return null;
  }
  const value = found && totalOf(found);
  return found && value !== null ? { value, unit: found.unit } : null;
}

/** Fetches what is seen in a window and beside it, in steps as fine as the window is narrow. */
export async function fetchWindow(
  view: Span,
  wanted: Omit<Wanted, 'period' | 'first'>,
  readings?: LoadReadings,
): Promise<Shown> {
  const { choice, comparing, zone, load } = wanted;
  let fine = fineFor(view.until - view.from);
  const coarse = fine === 'hour' || fine === 'day' || fine === 'month';
  if (coarse && wanted.draws && choice.kind === 'gauge') return inDrawnRows(view, wanted);
  if ((fine === 'reading' || fine === 'quarter') && wanted.hourly) fine = 'hour';
  if (fine === 'reading') {
    const single = await inReadings(view, wanted, readings);
    if (single) return single;
    fine = 'quarter';
  }
  if (fine === 'quarter' && view.until - view.from > 8 * HOUR) {
    const first = await load({
      register: choice.registers[0] ?? '',
      ...whole(view, fine, zone),
      step: fine,
    });
    if (sparse(first, whole(view, fine, zone), wanted)) fine = 'hour';
  }
  const step = fine;
  const span = around(view, step, zone);
  // Nobody asks for what is still to come.
  const past = {
    from: span.from,
    until: Math.max(span.from + 1, Math.min(span.until, wanted.now)),
  };
  const part = whole(past, step, zone);
  const inPart = async (register: string) => load({ register, ...part, step });
  const histories = await Promise.all(choice.registers.map(inPart));
  const all = histories.map((it) => columns(it, part, step, zone)).filter((it) => it !== null);
  const compared = comparing ? choice.registers[0] : undefined;
  const beforeSpan = whole(windowBefore(part, zone), step, zone);
  const before =
    compared === undefined
      ? null
      : columns(await load({ register: compared, ...beforeSpan, step }), beforeSpan, step, zone);
  return {
    period: 'window',
    span: part,
    step,
    choice,
    histories,
    all,
    before,
    beforeSpan,
    sofar: null,
  };
}

/** In as many rows as there is room for, whatever the calendar says. */
async function inDrawnRows(
  view: Span,
  { choice, comparing, now, zone, load }: Omit<Wanted, 'period' | 'first'>,
): Promise<Shown> {
  const wide = around(view, 'drawn', zone);
  const span = {
    from: wide.from,
    until: Math.max(wide.from + 1, Math.min(wide.until, Math.ceil(now))),
  };
  const beforeSpan = windowBefore(span, zone);
  const step = 'drawn';
  const compared = comparing ? choice.registers[0] : undefined;
  const [histories, old] = await Promise.all([
    Promise.all(choice.registers.map((register) => load({ register, ...span, step }))),
    compared === undefined ? null : load({ register: compared, ...beforeSpan, step }),
  ]);
  const all = drawnColumns(histories).filter((it) => it !== null);
  const [first, then] = [all[0], old && drawnColumns([old])[0]];
  const before = first && then ? moved(then, first, beforeSpan.from - span.from) : null;
  return {
    period: 'window',
    span,
    step,
    choice,
    histories,
    all,
    before,
    beforeSpan,
    sofar: null,
  };
}

/** Each reading by itself; `null` where that is not possible. */
async function inReadings(
  view: Span,
  { choice, now, zone, load }: Omit<Wanted, 'period' | 'first'>,
  readings: LoadReadings | undefined,
): Promise<Shown | null> {
  if (!readings) return null;
  const half = (view.until - view.from) / 2;
  const span = { from: view.from - half, until: Math.min(view.until + half, now) };
  if (span.until <= span.from) return null;
  const told = await Promise.all(choice.registers.map((register) => readings(register, span)));
  const all = told.map((it) => it && readingColumns(it, choice.kind === 'counter'));
  // The history knows why there are holes.
  const quarters = whole(span, 'quarter', zone);
  const register = choice.registers[0] ?? '';
  const history = await load({ register, ...quarters, step: 'quarter' });
  // Two lines share their slots only if they were read together.
  if (all.some((it) => it === null || it.slots.length !== all[0]?.slots.length)) return null;
  return {
    period: 'window',
    span,
    step: 'reading',
    choice,
    histories: [history],
    all: all.filter((it) => it !== null),
    before: null,
    beforeSpan: span,
    sofar: null,
  };
}
