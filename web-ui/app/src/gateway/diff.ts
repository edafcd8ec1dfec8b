// What is different between two texts, line by line, with a little of what stands around it.

export interface Change {
  kind: 'same' | 'new' | 'old' | 'skip';
  text: string;
  /** Counted from 1: in the new text, of what is gone in the old one. */
  line: number;
}

const AROUND = 2;
/** Beyond it only the beginnings and ends that are the same are found, which is quick. */
const MOST_CELLS = 4_000_000;

/** How `after` came out of `before`. */
export function changes(before: string, after: string): Change[] {
  const [old, young] = [lines(before), lines(after)];
  let head = 0;
  while (head < old.length && head < young.length && old[head] === young[head]) head += 1;
  let tail = 0;
  while (
    tail < old.length - head &&
    tail < young.length - head &&
    old[old.length - 1 - tail] === young[young.length - 1 - tail]
  ) {
    tail += 1;
  }
  const all: Change[] = [];
  const same = (from: number, until: number) => {
    for (let at = from; at < until; at += 1) {
      all.push({ kind: 'same', text: young[at] ?? '', line: at + 1 });
    }
  };
  same(0, head);
  all.push(
    ...middle(old.slice(head, old.length - tail), young.slice(head, young.length - tail), head),
  );
  same(young.length - tail, young.length);
  return trimmed(all);
}

function lines(text: string): string[] {
  const all = text.split('\n');
  if (all.at(-1) === '') all.pop();
  return all;
}

function middle(old: string[], young: string[], offset: number): Change[] {
  const gone = (at: number): Change => ({
    kind: 'old',
    text: old[at] ?? '',
    line: offset + at + 1,
  });
  const came = (at: number): Change => ({
    kind: 'new',
    text: young[at] ?? '',
    line: offset + at + 1,
  });
  if (old.length * young.length > MOST_CELLS) {
    return [...old.map((_, at) => gone(at)), ...young.map((_, at) => came(at))];
  }
  // The longest common subsequence: how long it is from each pair of lines on.
  const width = young.length + 1;
  const longest = new Uint32Array((old.length + 1) * width);
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = young.length - 1; j >= 0; j -= 1) {
      longest[i * width + j] =
        old[i] === young[j]
          ? (longest[(i + 1) * width + j + 1] ?? 0) + 1
          : Math.max(longest[(i + 1) * width + j] ?? 0, longest[i * width + j + 1] ?? 0);
    }
  }
  const out: Change[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < young.length) {
    if (i < old.length && j < young.length && old[i] === young[j]) {
      out.push({ kind: 'same', text: young[j] ?? '', line: offset + j + 1 });
      i += 1;
      j += 1;
    } else if (
      j >= young.length ||
      (i < old.length && (longest[(i + 1) * width + j] ?? 0) >= (longest[i * width + j + 1] ?? 0))
    ) {
      out.push(gone(i));
      i += 1;
    } else {
      out.push(came(j));
      j += 1;
    }
  }
  return out;
}

/** Leaves out what is the same, but for the lines around a change. */
function trimmed(all: Change[]): Change[] {
  const near = (at: number) =>
    all.slice(Math.max(0, at - AROUND), at + AROUND + 1).some((it) => it.kind !== 'same');
  const out: Change[] = [];
  all.forEach((it, at) => {
    if (near(at)) out.push(it);
    else if (out.length > 0 && out.at(-1)?.kind !== 'skip')
      out.push({ kind: 'skip', text: '', line: 0 });
  });
  if (out.at(-1)?.kind === 'skip') out.pop();
  return out;
}
