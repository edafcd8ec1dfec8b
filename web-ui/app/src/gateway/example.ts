// What somebody begins with who has no configuration yet: one bus and one meter, to be written over.

/** A new id: a UUID of version 7 (RFC 9562, section 5.7), which every building and meter has for ever. */
export function newId(now: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(now / 2 ** 32));
  view.setUint32(2, now % 2 ** 32);
  view.setUint8(6, 0x70 | (view.getUint8(6) & 0x0f));
  view.setUint8(8, 0x80 | (view.getUint8(8) & 0x3f));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

/** A whole configuration; the names are the page's language. */
export function exampleSite(now: number, site: string, meter: string): string {
  return `[site]
id = "${newId(now)}"
name = "${site}"
time_zone = "Europe/Oslo"

[[bus]]
id = "bus-1"
kind = "mbus"
port = "tcp://10.0.4.2:10001"

${exampleMeter(now, meter, 'bus-1')}`;
}

/** One meter more. */
export function exampleMeter(now: number, name: string, bus: string): string {
  return `[[meter]]
id = "${newId(now)}"
name = "${name}"
bus = "${bus}"
address = 1
`;
}

/** A meter that is heard, by what it is known by on a bus of its kind. */
export function heardMeter(
  now: number,
  name: string,
  bus: string,
  kind: string,
  known: string,
): string {
  const key = kind === 'mqtt' ? 'address' : 'secondary';
  return exampleMeter(now, name, bus).replace(
    /^address = 1$/m,
    `${key} = ${JSON.stringify(known)}`,
  );
}

let chosen: string | null = null;

/** A section for the configuration's page to begin with. */
export function take(section: string): void {
  chosen = section;
}

/** The section that was chosen, once. */
export function taken(): string | null {
  const section = chosen;
  chosen = null;
  return section;
}

/** The id of the last bus of a configuration, where a new meter most likely hangs. */
export function lastBus(text: string): string {
  const ids = [...text.matchAll(/^\[\[bus\]\](?:\n(?!\[).*)*?\nid *= *"([^"]*)"/gm)];
  return ids.at(-1)?.[1] ?? 'bus-1';
}
