// Where things stand on a chart. Pixels and axis figures may be floats; values on the page are not.

export interface Scale {
  low: number;
  high: number;
  ticks: number[];
  /** Decimals of the axis figures. */
  decimals: number;
}

/** At most six lines at 1, 2 or 5 times a power of ten, around all of `values`. */
export function scaleOf(values: number[], fromZero: boolean): Scale {
  let low = Math.min(...values, fromZero ? 0 : Infinity);
  let high = Math.max(...values, fromZero ? 0 : -Infinity);
  if (!Number.isFinite(low) || !Number.isFinite(high)) [low, high] = [0, 1];
  if (high - low < 1e-9) {
    const room = Math.abs(high) > 1 ? Math.abs(high) * 0.05 : 1;
    high += room;
    if (!fromZero) low -= room;
  }
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((it) => it * power >= rough * 0.999) ?? 10;
  const step = factor * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = [];
  for (let at = first; at <= last; at += 1) ticks.push(at * step);
  return {
    low: first * step,
    high: last * step,
    ticks,
    decimals: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  };
}
