// Figures as people read them, out of the exact figures that the meters show.
//
// A value arrives as decimal text (`1234.50`) or as mantissa and decimals (123450, 2). It is cut,
// grouped and punctuated as text and with BigInt; it never becomes a float on its way to the screen.
// Only `approximate`, which places a point on a chart, gives one.
import type { Lang } from './text.svelte';

/** An integer of up to 64 bits. One beyond 2^53 comes as BigInt or text, see `api.ts`. */
export type Mantissa = number | bigint | string;

const GROUP = { nb: '\u202f', en: ',', da: '.' } as const;
const POINT = { nb: ',', en: '.', da: ',' } as const;
const MINUS = '\u2212';

/** `mantissa` steps of 10^-`decimals`, as decimal text: (123450, 2) is `1234.50`, (12, -1) is `120`. */
export function decimalText(mantissa: Mantissa, decimals: number): string {
  const whole = BigInt(mantissa);
  const sign = whole < 0n ? '-' : '';
  const digits = (whole < 0n ? -whole : whole).toString();
  if (decimals <= 0) return whole === 0n ? '0' : sign + digits + '0'.repeat(-decimals);
  const padded = digits.padStart(decimals + 1, '0');
  return `${sign}${padded.slice(0, -decimals)}.${padded.slice(-decimals)}`;
}

/** Decimal text in the language's own punctuation, every digit kept: `1234.50` is `1 234,50` in Norwegian. */
export function figure(text: string, lang: Lang): string {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) return text;
  const [, minus, whole = '', part] = match;
  // Four digits are grouped too, so that columns of figures keep one edge.
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, GROUP[lang]);
  return `${minus ? MINUS : ''}${grouped}${part === undefined ? '' : POINT[lang] + part}`;
}

/** A count: whole, grouped. */
export function count(n: number | bigint, lang: Lang): string {
  return figure(n.toString(), lang);
}

/** Decimal text with at most `decimals` places, rounded to the nearest, a half away from zero. */
export function rounded(text: string, decimals: number): string {
  const [whole = '0', part = ''] = text.split('.');
  if (part.length <= decimals) return text;
  const mantissa = BigInt(whole + part);
  const divisor = 10n ** BigInt(part.length - decimals);
  const half = whole.startsWith('-') ? -divisor / 2n : divisor / 2n;
  const steps = (mantissa + half) / divisor;
  return decimalText(steps, decimals);
}

/** For live figures on the overview: `digits` significant digits, but never fewer than the whole number. */
export function significant(text: string, digits: number): string {
  const [whole = '0', part = ''] = text.replace('-', '').split('.');
  const leading = whole === '0' ? 0 : whole.length;
  const zeros = leading === 0 ? (/^0*/.exec(part)?.[0].length ?? 0) : 0;
  // 0.004 would need six places; a figure that small has the meter's own digits.
  if (zeros >= digits) return text;
  return rounded(text, Math.max(0, digits - leading + zeros));
}

/** Watts as kilowatts and watt-hours as kilowatt-hours: every digit stays, the point moves. */
export function inKilo(text: string, unit: string): { text: string; unit: string } {
  if (unit !== 'W' && unit !== 'Wh') return { text, unit };
  const [whole = '0', part = ''] = text.split('.');
  return { text: decimalText(whole + part, part.length + 3), unit: `k${unit}` };
}

/** A share of a promise: four decimals, cut, never rounded. `99.49999` is `99,4999`. */
export function cutShare(text: string, lang: Lang): string {
  const [whole = '0', part = ''] = text.split('.');
  return figure(`${whole}.${part.slice(0, 4).padEnd(4, '0')}`, lang);
}

/**
 * How much of what was expected came, in percent with one decimal, cut: under 100 is at most 99,9.
 * Nothing expected has no share.
 */
export function completeness(got: number, expected: number, lang: Lang): string | null {
  if (expected <= 0) return null;
  const thousandths = (BigInt(got) * 1000n) / BigInt(expected);
  return figure(decimalText(thousandths > 1000n ? 1000n : thousandths, 1), lang);
}

/** The sum of mantissas of one resolution. */
export function sum(mantissas: Iterable<Mantissa>): bigint {
  let total = 0n;
  for (const mantissa of mantissas) total += BigInt(mantissa);
  return total;
}

/** For pixel positions alone. */
export function approximate(mantissa: Mantissa, decimals: number): number {
  return Number(BigInt(mantissa)) / 10 ** decimals;
}

/** Percentage by which `now` differs from `before`, whole, in mantissas of one resolution. */
export function differencePercent(now: bigint, before: bigint): number | null {
  if (before <= 0n) return null;
  return Math.round(Number(((now - before) * 1000n) / before) / 10);
}

const SYMBOLS: Record<string, string> = {
  m3: 'm³',
  'm3/h': 'm³/h',
  'm3/min': 'm³/min',
  'm3/s': 'm³/s',
  C: '°C',
  degC: '°C',
};

/** How a unit is written on a display. */
export function unitSymbol(unit: string): string {
  return SYMBOLS[unit] ?? unit;
}

/** As a file manager has it: bytes in MB with one decimal, cut. */
export function megabytes(bytes: number, lang: Lang): string {
  return figure(decimalText(BigInt(bytes) / 100_000n, 1), lang);
}
