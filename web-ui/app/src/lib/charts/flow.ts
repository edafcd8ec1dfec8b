// Where energy or water goes: mains on the left, what is metered of them to the right, and what is not,
// as one node of its own. Amounts are exact; only places on the page are floats.
import type { Medium } from '../medium';
import { approximate, sum, type Mantissa } from '../number';

/** What went through a meter, as the API tells it. */
export interface Metered {
  meter: string;
  name: string;
  medium: Medium;
  part_of: string | null;
  mantissa: Mantissa | null;
}

/** A place where energy comes in, goes through or is used. */
export interface FlowNode {
  key: string;
  kind: 'meter' | 'others' | 'rest';
  name: string;
  medium: Medium;
  /** `null` of a meter that told nothing. */
  amount: bigint | null;
  /** Where it comes from; a rest has several. */
  from: FlowNode[];
  children: FlowNode[];
  /** Of `others`: how many meters they are. */
  count: number;
}

/** All of a balance. */
export interface FlowTree {
  mains: FlowNode[];
  /** What came in through all mains together. */
  total: bigint;
  /** What went through mains or sub-meters and was not metered further, by where it left. */
  rests: { from: FlowNode; amount: bigint }[];
  /** Of these together. */
  rest: bigint;
  /** Those whose sub-meters show more than they themselves. */
  exceeded: FlowNode[];
  /** Meters that told nothing, so that the rest holds theirs as well. */
  unknown: FlowNode[];
}

/** At most so many uses of one source are drawn; the smallest are one. */
export const MOST = 7;

/** The meters as a tree, with what is left over of each. */
export function flowTree(meters: Metered[]): FlowTree {
  const nodes = new Map(
    meters.map((it) => {
      const amount = it.mantissa === null ? null : BigInt(it.mantissa);
      const { meter: key, name, medium } = it;
      const node: FlowNode = {
        key,
        kind: 'meter',
        name,
        medium,
        amount,
        from: [],
        children: [],
        count: 1,
      };
      return [key, node];
    }),
  );
  for (const { meter, part_of } of meters) {
    const node = nodes.get(meter);
    const whole = part_of === null ? undefined : nodes.get(part_of);
    if (!node || !whole) continue;
    node.from.push(whole);
    whole.children.push(node);
  }
  const all = [...nodes.values()];
  const mains = all.filter((node) => node.from.length === 0);
  const found: FlowTree = {
    mains,
    total: sum(mains.map((it) => it.amount ?? 0n)),
    rests: [],
    rest: 0n,
    exceeded: [],
    unknown: all.filter((node) => node.amount === null),
  };
  for (const node of all) {
    // A use that is metered is accounted for; a main that nothing is part of is not.
    if (node.amount === null || (node.children.length === 0 && node.from.length > 0)) continue;
    const parts = sum(node.children.map((it) => it.amount ?? 0n));
    const left = node.amount - parts;
    // A rounding of the last digit of each part is no excess.
    if (left < -BigInt(node.children.length)) found.exceeded.push(node);
    if (left > 0n) {
      found.rests.push({ from: node, amount: left });
      found.rest += left;
    }
  }
  for (const node of all) node.children = fewer(node);
  return found;
}

/** The largest parts of `node`, and the others together. */
function fewer(node: FlowNode): FlowNode[] {
  const size = (it: FlowNode) => it.amount ?? -1n;
  const known = node.children.filter((it) => it.amount !== null && it.amount > 0n);
  const sorted = known.toSorted((a, b) => (size(a) < size(b) ? 1 : Number(size(a) > size(b)) * -1));
  if (sorted.length <= MOST) return sorted;
  // Whatever has parts of its own is drawn, so that these are.
  const kept = sorted.filter((it, index) => index < MOST - 1 || it.children.length > 0);
  const rest = sorted.filter((it) => !kept.includes(it));
  const others: FlowNode = {
    key: `${node.key}-others`,
    kind: 'others',
    name: '',
    medium: node.medium,
    amount: sum(rest.map((it) => it.amount ?? 0n)),
    from: [node],
    children: [],
    count: rest.length,
  };
  return [...kept, others];
}

/** A node with its place in pixels. */
export interface Placed {
  node: FlowNode;
  column: number;
  x: number;
  y: number;
  height: number;
}

/** A band between two nodes. */
export interface Band {
  key: string;
  medium: Medium;
  path: string;
  from: string;
  to: string;
  rest: boolean;
}

export interface FlowLayout {
  placed: Placed[];
  bands: Band[];
  columns: number;
  height: number;
}

/** How wide the bar of a node is. */
export const BAR = 6;
/** Two lines of a name and a figure. */
const ROOM = 54;

/**
 * Places the tree in `width` pixels, and in the height that is `given`, else as high as it needs. The names
 * of what only goes through stand beside their bars, or `under` them.
 */
export function flowLayout(
  tree: FlowTree,
  width: number,
  decimals: number,
  given = 0,
  under = false,
): FlowLayout {
  const depth = new Map<FlowNode, number>();
  const order: FlowNode[] = [];
  const walk = (node: FlowNode, level: number) => {
    depth.set(node, level);
    order.push(node);
    for (const child of node.children) walk(child, level + 1);
  };
  const shown = tree.mains.filter((it) => it.amount !== null && it.amount > 0n);
  for (const main of shown) walk(main, 0);
  const last = Math.max(1, ...depth.values());

  const rest: FlowNode | null =
    tree.rest > 0n
      ? {
          key: 'rest',
          kind: 'rest',
          name: '',
          medium: 'other',
          amount: tree.rest,
          from: tree.rests.map((it) => it.from),
          children: [],
          count: 0,
        }
      : null;
  // What is used stands in the last column, whatever it went through.
  const columnOf = (node: FlowNode) =>
    node.children.length === 0 && (depth.get(node) ?? 0) > 0 ? last : (depth.get(node) ?? last);
  const columns: FlowNode[][] = Array.from({ length: last + 1 }, () => []);
  for (const node of order) columns[columnOf(node)]?.push(node);
  if (rest) columns[last]?.push(rest);

  const size = (amount: bigint | null) => Math.max(0, approximate(amount ?? 0n, decimals));
  const crowd = Math.max(...columns.map((column) => column.length));
  const height = given || Math.max(300, crowd * (ROOM + 18));
  // Where the parts show more than the whole, the whole is as high as they are.
  const weight = (node: FlowNode): number =>
    Math.max(
      size(node.amount),
      node.children.reduce((all, it) => all + weight(it), 0),
    );
  const scale = Math.min(
    ...columns.map((column) => {
      const all = column.reduce((total, it) => total + weight(it), 0);
      const spare = height - Math.max(0, column.length - 1) * ROOM;
      return all > 0 ? Math.max(40, spare) / all : Infinity;
    }),
  );
  const tall = (node: FlowNode) => Math.max(2, weight(node) * scale);
  const x = (column: number) => (column / last) * (width - BAR);

  const places = new Map<FlowNode, Placed>();
  const put = (node: FlowNode, at: number, y: number) =>
    places.set(node, { node, column: at, x: x(at), y, height: tall(node) });
  const centre = (node: FlowNode) => {
    const placed = places.get(node);
    return placed && placed.y + placed.height / 2;
  };
  /** Spreads a column over the whole height. */
  const spread = (column: FlowNode[], at: number) => {
    const rooms = column.map((node) => Math.max(tall(node), ROOM));
    const used = rooms.reduce((all, it) => all + it, 0);
    const gap = column.length > 1 ? Math.max(0, (height - used) / (column.length - 1)) : 0;
    let y = column.length > 1 ? 0 : Math.max(0, (height - used) / 2);
    column.forEach((node, index) => {
      const room = rooms[index] ?? 0;
      put(node, at, y + (room - tall(node)) / 2);
      y += room + gap;
    });
  };
  spread(columns[0] ?? [], 0);
  spread(columns[last] ?? [], last);
  // What only goes through stands between where it comes from and where it goes.
  for (let at = 1; at < last; at += 1) {
    const ends = (node: FlowNode): number[] =>
      node.children.flatMap((it) => centre(it) ?? ends(it));
    const wished = (columns[at] ?? []).map((node) => {
      const all = [...node.from.flatMap((it) => centre(it) ?? []), ...ends(node)];
      return { node, y: all.reduce((sum, it) => sum + it, 0) / Math.max(1, all.length) };
    });
    wished.sort((a, b) => a.y - b.y);
    const roomOf = (node: FlowNode) => (under ? tall(node) + ROOM : Math.max(tall(node), ROOM));
    let free = 0;
    wished.forEach(({ node, y }, index) => {
      const room = roomOf(node);
      const after = wished.slice(index).reduce((all, it) => all + roomOf(it.node), 0);
      const top = Math.max(free, Math.min(y - room / 2, height - after));
      put(node, at, under ? top : top + (room - tall(node)) / 2);
      free = top + room;
    });
  }

  const bands: Band[] = [];
  const left = new Map<FlowNode, number>();
  const taken = new Map<FlowNode, number>();
  const band = (from: FlowNode, to: FlowNode, amount: number, isRest: boolean) => {
    const [a, b] = [places.get(from), places.get(to)];
    if (!a || !b) return;
    const thick = amount * scale;
    const [out, into] = [left.get(from) ?? 0, taken.get(to) ?? 0];
    left.set(from, out + thick);
    taken.set(to, into + thick);
    bands.push({
      key: `${from.key}>${to.key}`,
      medium: from.medium,
      path: ribbon(a.x + BAR, a.y + out, b.x, b.y + into, Math.max(2, thick)),
      from: from.key,
      to: to.key,
      rest: isRest,
    });
  };
  for (const node of order) {
    const targets = node.children.toSorted((a, b) => (centre(a) ?? 0) - (centre(b) ?? 0));
    for (const child of targets) band(node, child, weight(child), false);
    const over = rest && tree.rests.find((it) => it.from === node);
    if (rest && over) band(node, rest, size(over.amount), true);
  }
  const placed = [...places.values()];
  return { placed, bands, columns: last + 1, height };
}

/** A band of even thickness that leaves and arrives level. */
function ribbon(x0: number, y0: number, x1: number, y1: number, thick: number): string {
  const half = (x0 + x1) / 2;
  const n = (value: number) => value.toFixed(1);
  return (
    `M${n(x0)} ${n(y0)}C${n(half)} ${n(y0)} ${n(half)} ${n(y1)} ${n(x1)} ${n(y1)}` +
    `V${n(y1 + thick)}C${n(half)} ${n(y1 + thick)} ${n(half)} ${n(y0 + thick)} ${n(x0)} ${n(y0 + thick)}Z`
  );
}
