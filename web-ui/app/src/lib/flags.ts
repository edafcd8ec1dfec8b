// What the bits of a flag register say.

/** The bits that are set in `value`, counted from 0; none where it is no whole number. */
export function setBits(value: string | null): number[] {
  if (value === null || !/^\d{1,20}$/.test(value)) return [];
  const found = [];
  let rest = BigInt(value);
  for (let bit = 0; rest > 0n; bit += 1, rest >>= 1n) if (rest & 1n) found.push(bit);
  return found;
}
