// Where things stand on a chart. Pixels and axis figures may be floats; values on the page are not.

export interface Scale {
  low: number;
  high: number;
  ticks: number[];
  /** Decimals of the axis figures. */
  decimals: number;
}

/**
 * At most six lines at 1, 2 or 5 times a power of ten, around all of `values`. What hardly changes is
 * drawn as a line that hardly moves: the axis is never shorter than ten of the meter's own steps, and
 * never finer than one of them.
 */
export function scaleOf(values: number[], fromZero: boolean, resolution = 0): Scale {
  let low = Math.min(...values, fromZero ? 0 : Infinity);
  let high = Math.max(...values, fromZero ? 0 : -Infinity);
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = [0, 1];
  // Of what has no known step, a single value has a tenth of itself, or one, to stand in.
  const room = 10 * resolution || (high - low < 1e-9 ? Math.max(1, Math.abs(high) / 10) : 0);
  const lacking = Math.max(0, room - (high - low));
  high += fromZero ? lacking : lacking / 2;
  if (!fromZero) low -= lacking / 2;

  const power = 10 ** Math.floor(Math.log10((high - low) / 5));
  const lowest = (step: number) => Math.floor(low / step + 1e-9);
  const highest = (step: number) => Math.ceil(high / step - 1e-9);
  const fits = (step: number) => highest(step) - lowest(step) <= 5;
  const step = [1, 2, 5, 10, 20].map((factor) => factor * power).find(fits) ?? 50 * power;
  const [first, last] = [lowest(step), highest(step)];
  const ticks = [];
  for (let at = first; at <= last; at += 1) ticks.push(at * step);
  return {
    low: first * step,
    high: last * step,
    ticks,
    decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  };
}

/** Temperatures and humidity need no zero; what is counted or flows does. */
export const needsZero = (unit: string) => !['C', 'K', '%', 'V', 'Hz', 'bar', 'ppm'].includes(unit);
