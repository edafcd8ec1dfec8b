// A map of our own: degrees to points of a picture, and which buildings stand too close to be told apart.
import { COLUMN, LAND, NORTH, ROW, WEST } from './land';

export const WIDTH = 640;
export const HEIGHT = 600;

/** A place in degrees. */
export interface At {
  lat: number;
  lon: number;
}

/** What is seen: the middle, and how many points a degree of latitude has. */
export interface View extends At {
  scale: number;
}

/** Millionths of a degree are exact; a picture needs no more than a number. */
export const degrees = (udeg: number) => udeg / 1e6;

/** Of the least and the most that a map shows: from all of the north to some streets. */
const LEAST = 12;
const MOST = 60_000;

const shrink = (lat: number) => Math.max(0.05, Math.cos((lat * Math.PI) / 180));

/** Where a place is in the picture. */
export function project(view: View, { lat, lon }: At): { x: number; y: number } {
  return {
    x: WIDTH / 2 + (lon - view.lon) * shrink(view.lat) * view.scale,
    y: HEIGHT / 2 - (lat - view.lat) * view.scale,
  };
}

export const zoomed = (view: View, by: number): View => ({
  ...view,
  scale: Math.min(MOST, Math.max(LEAST, view.scale * by)),
});

/** All of these places with room around, and never closer than `closest`. */
export function around(places: readonly At[], closest = 400): View {
  if (places.length === 0) return { lat: 63, lon: 14, scale: 34 };
  const lats = places.map((it) => it.lat);
  const lons = places.map((it) => it.lon);
  const [south, north] = [Math.min(...lats), Math.max(...lats)];
  const [west, east] = [Math.min(...lons), Math.max(...lons)];
  const lat = (south + north) / 2;
  const room = 0.72;
  const tall = (HEIGHT * room) / Math.max(north - south, 1e-9);
  const wide = (WIDTH * room) / Math.max((east - west) * shrink(lat), 1e-9);
  const scale = Math.min(closest, MOST, Math.max(LEAST, Math.min(tall, wide)));
  return { lat, lon: (west + east) / 2, scale };
}

/** Land as dots, each a path's `M x y h0`; nothing where they would stand apart like buildings. */
export function land(view: View): string {
  if (view.scale * ROW > 60) return '';
  const dots: string[] = [];
  LAND.forEach((row, index) => {
    for (const run of row.split(' ').filter(Boolean)) {
      const [first = 0, count = 0] = run.split('x').map(Number);
      for (let nth = 0; nth < count; nth += 1) {
        const at = { lat: NORTH - index * ROW, lon: WEST + (first + 2 * nth) * COLUMN };
        const { x, y } = project(view, at);
        if (x < -20 || x > WIDTH + 20 || y < -20 || y > HEIGHT + 20) continue;
        dots.push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
      }
    }
  });
  return dots.join('');
}

const STEPS = [20, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002];

/** Lines of latitude or longitude, some four of them: degrees and place. */
export function lines(view: View, which: 'lat' | 'lon'): { at: number; place: number }[] {
  const size = which === 'lat' ? HEIGHT : WIDTH;
  const points = which === 'lat' ? view.scale : view.scale * shrink(view.lat);
  const half = size / 2 / points;
  const step = STEPS.findLast((it) => (2 * half) / it <= 6) ?? 20;
  const found = [];
  for (let nth = Math.ceil((view[which] - half) / step); ; nth += 1) {
    const at = nth * step;
    if (at > view[which] + half) return found;
    const { x, y } = project(view, { ...view, [which]: at });
    found.push({ at, place: which === 'lat' ? y : x });
  }
}

/** A length in metres that is round and between 60 and 150 points long. */
export function ruler(view: View): { metres: number; points: number } {
  const metre = view.scale / 111_195;
  for (let ten = 10; ; ten *= 10) {
    for (const metres of [ten, 2 * ten, 5 * ten]) {
      if (metres * metre >= 60) return { metres, points: metres * metre };
    }
  }
}

/** Buildings that stand at one place of the picture. */
export interface Cluster<T> {
  x: number;
  y: number;
  items: T[];
}

/** Those closer than `apart` points to the first of a group are in it, whatever their order was. */
export function clusters<T extends At & { id: string }>(
  view: View,
  places: readonly T[],
  apart = 30,
): Cluster<T>[] {
  const found: Cluster<T>[] = [];
  for (const item of places.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const { x, y } = project(view, item);
    const near = found.find((it) => Math.hypot(it.x - x, it.y - y) < apart);
    if (near) near.items.push(item);
    else found.push({ x, y, items: [item] });
  }
  return found;
}

/** Degrees as people write them, `63,430515`, in exact millionths; `null` if they are none. */
export function udegOf(text: string, most: number): number | null {
  const match = /^\s*([+\-\u2212]?)(\d{1,3})(?:[.,](\d{1,6}))?\s*°?\s*$/u.exec(text);
  if (!match) return null;
  const [, sign, whole, part = ''] = match;
  const udeg = Number(whole) * 1_000_000 + Number(part.padEnd(6, '0'));
  if (udeg > most * 1_000_000) return null;
  return sign === '-' || sign === '\u2212' ? 0 - udeg : udeg;
}

/** The same the other way: `63,430515`. */
export function udegText(udeg: number, comma: string): string {
  const size = Math.abs(udeg);
  const part = String(size % 1_000_000).padStart(6, '0');
  return `${udeg < 0 ? '−' : ''}${Math.floor(size / 1_000_000)}${comma}${part}`;
}
