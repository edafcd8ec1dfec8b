// How a contract is read where it is silent.
import type { Agreement } from './wire';

/** Each setting with its words, the usual one first. */
export const SETTINGS = {
  short_rule: ['gross', 'net'],
  straddle: ['whole', 'per_month'],
  unknown: ['up', 'down'],
  denominator: ['contract', 'real'],
  notice_rule: ['date_diff', 'clear_days', 'hours72'],
  breach_moment: ['month_end', 'crossing', 'first_outage'],
  single_vantage: ['down', 'unknown'],
  partial_month: ['by_days', 'full_month'],
  late_notice: ['whole_window', 'remainder_valid'],
  recovery_successes: ['2', '1'],
  credit_without_next_bill: ['manual', 'refund'],
  link: ['wired', 'metered'],
  many_sites_one_fee: ['any_site', 'weighted'],
  ingest_outage: ['not_counted', 'counted'],
} as const;
export type Setting = keyof typeof SETTINGS;
export const NAMES = Object.keys(SETTINGS) as Setting[];

/** What it sets otherwise than is usual: each setting with its word. */
export function own(agreed: Agreement | null): { name: Setting; word: string }[] {
  return NAMES.flatMap((name) => {
    const word = agreed?.policy?.[name] ?? SETTINGS[name][0];
    return word === SETTINGS[name][0] ? [] : [{ name, word }];
  });
}
