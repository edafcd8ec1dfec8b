// What the hours and days of a season add up to: the week hour by hour, the hours in order of size, the
// highest of them, the days beside the line that they follow. Sums are exact; pixels are floats.
import { approximate, decimalText, sum, type Mantissa } from '../number';
import { civil, HOUR, isoDay, weekday } from '../time';

type Column = Mantissa | null;

/** An hour whose use is known. */
export interface KnownHour {
  at: number;
  used: bigint;
  /** Of the building's calendar: `2026-01-22`, 0 to 23, 1 is Monday. */
  day: string;
  hour: number;
  weekday: number;
}

/** When each hour is in the building. */
export interface Season {
  /** The first of `hours`. */
  start: number;
  hours: Column[];
  days: { start: number; end: number }[];
}

/** The hours of which something is known, with their place in the week. */
export function knownHours({ start, hours, days }: Season, zone: string): KnownHour[] {
  const found: KnownHour[] = [];
  let which = 0;
  hours.forEach((used, index) => {
    if (used === null) return;
    const at = start + index * HOUR;
    while (days[which] && at >= (days[which]?.end ?? 0)) which += 1;
    found.push({ at, used: BigInt(used), ...placeOf(at, days[which], zone) });
  });
  return found;
}

const places = new Map<string, { day: string; weekday: number }>();

/** A calendar is dear to ask: once a day is enough where the clocks do not change. */
function placeOf(at: number, day: { start: number; end: number } | undefined, zone: string) {
  const plain = day && at >= day.start && day.end - day.start === 24 * HOUR;
  const from = plain ? day.start : at;
  const key = `${zone} ${from}`;
  let place = places.get(key);
  if (!place) {
    const seen = civil(from, zone);
    place = { day: isoDay(seen), weekday: weekday(seen) };
    places.set(key, place);
  }
  const hour = plain ? Math.floor((at - day.start) / HOUR) : civil(at, zone).hour;
  return { ...place, hour };
}

/** A cell of the week. */
export interface WeekCell {
  /** `null` where nothing is known. */
  mean: number | null;
  got: number;
  expected: number;
}

/** A cell of which less is known says nothing. */
export const COVERED = 0.8;

/**
 * The mean of each hour of the week, Monday first: 7 rows of 24. What lies before the first hour that is
 * known is not missed: a building that is new has its weeks as well.
 */
export function weekOf(known: KnownHour[], season: Season, decimals: number, zone: string) {
  const cells: { total: bigint; got: number; expected: number }[][] = Array.from(
    { length: 7 },
    () => Array.from({ length: 24 }, () => ({ total: 0n, got: 0, expected: 0 })),
  );
  const begun = known[0]?.at ?? Infinity;
  let which = 0;
  season.hours.forEach((_, index) => {
    const at = season.start + index * HOUR;
    if (at < begun) return;
    while (season.days[which] && at >= (season.days[which]?.end ?? 0)) which += 1;
    const { hour, weekday: day } = placeOf(at, season.days[which], zone);
    const cell = cells[day - 1]?.[hour];
    if (cell) cell.expected += 1;
  });
  for (const { used, hour, weekday: day } of known) {
    const cell = cells[day - 1]?.[hour];
    if (!cell) continue;
    cell.total += used;
    cell.got += 1;
  }
  return cells.map((row) =>
    row.map(({ total, got, expected }): WeekCell => ({
      mean: got > 0 ? approximate(total, decimals) / got : null,
      got,
      expected,
    })),
  );
}

/** Whether enough of a cell is known for a figure. */
export const covered = ({ got, expected }: WeekCell) => expected > 0 && got >= expected * COVERED;

/** Decimals for a mean beside others up to `highest`: two or three digits in all. */
export function meanDecimals(highest: number, decimals: number): number {
  const wanted = highest >= 30 ? 0 : highest >= 3 ? 1 : highest >= 0.3 ? 2 : 3;
  return Math.max(0, Math.min(wanted, decimals + 1));
}

/** The seven steps of the scale: the lower limit of each, and the upper one of the last. */
export function limits(cells: WeekCell[][]): number[] {
  const means = cells.flat().flatMap((it) => (it.mean !== null && covered(it) ? [it.mean] : []));
  if (means.length === 0) return [];
  const [low, high] = [Math.min(...means), Math.max(...means)];
  return Array.from({ length: 8 }, (_, step) => low + ((high - low) * step) / 7);
}

/** The step of the scale on which `mean` stands. */
export function stepOf(mean: number, scale: number[]): number {
  const [low = 0, high = 0] = [scale[0], scale.at(-1)];
  if (high <= low) return 0;
  return Math.min(6, Math.floor(((mean - low) / (high - low)) * 7));
}

/** All hours, the highest first. */
export function inOrder(known: KnownHour[]): KnownHour[] {
  return known.toSorted((a, b) => (a.used < b.used ? 1 : a.used > b.used ? -1 : a.at - b.at));
}

/** The highest hour of each of the `most` highest days. */
export function peaks(sorted: KnownHour[], most: number): KnownHour[] {
  const days = new Set<string>();
  const found: KnownHour[] = [];
  for (const hour of sorted) {
    if (days.has(hour.day)) continue;
    days.add(hour.day);
    found.push(hour);
    if (found.length === most) break;
  }
  return found;
}

/** How evenly the load lies. */
export interface Load {
  total: bigint;
  /** Full hours of the highest one that would make the total. */
  hours: number;
  /** Of the hours that are known, in percent, cut. */
  percent: number;
}

export function loadOf(sorted: KnownHour[]): Load | null {
  const highest = sorted[0]?.used ?? 0n;
  if (highest <= 0n) return null;
  const total = sum(sorted.map((it) => it.used));
  return {
    total,
    hours: Number(total / highest),
    percent: Number((total * 100n) / (highest * BigInt(sorted.length))),
  };
}

/** The mean of `values`, each with the volume at which it was measured: steps of the values. */
export function weighted(values: Column[], volumes: Column[]): bigint | null {
  let [total, volume] = [0n, 0n];
  values.forEach((value, index) => {
    const weight = volumes[index] ?? null;
    if (value === null || weight === null) return;
    total += BigInt(value) * BigInt(weight);
    volume += BigInt(weight);
  });
  if (volume <= 0n) return null;
  const half = total < 0n ? -volume / 2n : volume / 2n;
  return (total + half) / volume;
}

/**
 * How much water carried a MWh, with one decimal, over the days of which both are known. `energy` is in
 * steps of 10^-`energyDecimals` kWh, `volume` of 10^-`volumeDecimals` m³.
 */
export function specificVolume(
  energy: Column[],
  energyDecimals: number,
  volume: Column[],
  volumeDecimals: number,
): string | null {
  let [used, water] = [0n, 0n];
  energy.forEach((value, index) => {
    const litres = volume[index] ?? null;
    if (value === null || litres === null) return;
    used += BigInt(value);
    water += BigInt(litres);
  });
  if (used <= 0n) return null;
  // Tenths of a cubic metre for each thousand kilowatt-hours.
  const power = energyDecimals - volumeDecimals;
  const numerator = water * 10_000n * (power > 0 ? 10n ** BigInt(power) : 1n);
  const denominator = used * (power < 0 ? 10n ** BigInt(-power) : 1n);
  return decimalText((numerator + denominator / 2n) / denominator, 1);
}

/** A day beside the line. */
export interface EtDay {
  start: number;
  outdoor: number;
  used: number;
  usedText: string;
  outdoorText: string;
  weekend: boolean;
  /** What the line says for that temperature. */
  expected: number;
}

/** The line of a signature, in units. */
export interface EtLine {
  base: number;
  slope: number;
  knee: number | null;
  deviation: number;
  /** 1 where use grows with the cold, −1 where with the heat. */
  side: 1 | -1;
}

export interface Signature {
  grows_with: string;
  base: Mantissa;
  slope: Mantissa;
  knee: number | null;
  deviation: Mantissa;
}

/** A signature out of its steps. */
export function etLine(it: Signature, decimals: number): EtLine {
  return {
    base: approximate(it.base, decimals + 3),
    slope: approximate(it.slope, decimals + 3),
    knee: it.knee === null ? null : it.knee / 10,
    deviation: approximate(it.deviation, decimals + 3),
    side: it.grows_with === 'heat' ? -1 : 1,
  };
}

/** What the line says for `outdoor` degrees. */
export function onLine({ base, slope, knee, side }: EtLine, outdoor: number): number {
  return knee === null ? base : base + slope * Math.max(0, side * (knee - outdoor));
}

/** The days of which use and temperature are known. */
export function etDays(
  days: { start: number; used: Column; outdoor: Column }[],
  decimals: number,
  outdoorDecimals: number,
  line: EtLine | null,
  zone: string,
): EtDay[] {
  return days.flatMap(({ start, used, outdoor }) => {
    if (used === null || outdoor === null) return [];
    const warmth = approximate(outdoor, outdoorDecimals);
    const day = weekday(civil(start, zone));
    return [
      {
        start,
        outdoor: warmth,
        used: approximate(used, decimals),
        usedText: decimalText(used, decimals),
        outdoorText: decimalText(outdoor, outdoorDecimals),
        weekend: day > 5,
        expected: line ? onLine(line, warmth) : 0,
      },
    ];
  });
}
