// What buildings use, set against each other and against the year before.
import { differencePercent } from '../lib/number';
import type { MediumUse, SiteUse } from './wire';

/** So many days of 365 make a year that may be compared: a fortnight of gaps changes little. */
const A_YEAR = 350;

/** Fewer days than that say more of the weather than of the building. */
const ENOUGH = 28;

/** The use of a medium; `null` where nothing of it is counted. */
export function useOf(site: SiteUse, medium: string): MediumUse | null {
  return site.media.find((it) => it.medium === medium) ?? null;
}

/** Thousandths of a unit: figures come with three decimals. */
const mantissa = (text: string) => BigInt(text.replace('.', ''));

/** By how many percent this year differs from the last, on the days of which both are known. */
export function change(uses: MediumUse[]): number | null {
  const known = uses.filter((it) => it.like.days >= ENOUGH);
  if (known.length === 0) return null;
  const sum = (which: 'used' | 'before') =>
    known.reduce((total, it) => total + mantissa(it.like[which]), 0n);
  return differencePercent(sum('used'), sum('before'));
}

export interface Specific {
  /** Of the last year: kWh, or litres, for each m². */
  value: number;
  /** The same a year before, where enough of it is known. */
  before: number | null;
}

/** What a building used in a year for each square metre; `null` where area or year are not known. */
export function specific(site: SiteUse, use: MediumUse | null): Specific | null {
  if (!use || use.undecided || site.area_m2 === null || use.rolling.days < A_YEAR) return null;
  const factor = use.unit === 'm3' ? 1000 : 1;
  const value = (Number(use.rolling.value) * factor) / site.area_m2;
  const used = Number(use.like.used);
  const before =
    use.like.days >= ENOUGH && used > 0 ? (value * Number(use.like.before)) / used : null;
  return { value, before };
}

/** The unit of {@link specific}. */
export const perArea = (unit: string) => (unit === 'm3' ? 'l/m²' : `${unit}/m²`);

/** The middle one of them. */
export function median(values: number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}

/** What buildings come to together. */
export interface Together {
  unit: string;
  /** Without decimals. */
  total: string;
  /** For each m², where area and year of all of them are known. */
  area: number | null;
  sites: number;
  of: MediumUse[];
}

/** The sum of what is known of `rows`, of each unit one. */
export function sums(rows: { site: SiteUse; use: MediumUse }[]): Together[] {
  const known = rows.filter(({ use }) => !use.undecided && use.rolling.days > 0);
  const units = [...new Set(known.map(({ use }) => use.unit))];
  return units.map((unit) => {
    const own = known.filter(({ use }) => use.unit === unit);
    const total = own.reduce((sum, { use }) => sum + mantissa(use.rolling.value), 0n);
    const whole = own.every(({ site, use }) => specific(site, use) !== null);
    const m2 = own.reduce((sum, { site }) => sum + (site.area_m2 ?? 0), 0);
    const factor = unit === 'm3' ? 1000 : 1;
    return {
      unit,
      total: String((total + 500n) / 1000n),
      area: whole && m2 > 0 ? ((Number(total) / 1000) * factor) / m2 : null,
      sites: own.length,
      of: own.map(({ use }) => use),
    };
  });
}
