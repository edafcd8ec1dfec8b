// Measures what a browser fetches for the first page, gzipped, and fails above the limit.
//
// The first page is the document, its scripts with everything they import, its styles, the largest
// language file. What is imported dynamically is fetched when somebody goes there and does not count.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

const LIMIT = 75_000;
const dist = new URL('../../dist/', import.meta.url).pathname;

let failed = false;
for (const entry of ['gateway', 'portfolio']) {
  const root = join(dist, entry);
  const size = (path) => gzipSync(readFileSync(join(root, path)), { level: 9 }).length;
  const html = readFileSync(join(root, 'index.html'), 'utf8');

  const first = new Set(['index.html']);
  const follow = (path) => {
    if (first.has(path)) return;
    first.add(path);
    if (!path.endsWith('.js')) return;
    const source = readFileSync(join(root, path), 'utf8');
    for (const [, name] of source.matchAll(/(?:from|import)\s*"\.\/([^"]+\.js)"/g)) {
      follow(`assets/${name}`);
    }
  };
  for (const [, path] of html.matchAll(/(?:src|href)="\/([^"]+)"/g)) follow(path);
  const texts = readdirSync(join(root, 'assets')).filter((name) => /^(nb|en|da)-/.test(name));
  const largest = texts.map((name) => size(`assets/${name}`)).sort((a, b) => b - a)[0] ?? 0;

  const total = [...first].reduce((sum, path) => sum + size(path), largest);
  const all = readdirSync(join(root, 'assets')).reduce(
    (sum, name) => sum + size(`assets/${name}`),
    0,
  );
  const word = total <= LIMIT ? 'within' : 'ABOVE';
  console.log(
    `${entry}: first page ${(total / 1000).toFixed(1)} kB gzipped, ${word} ${LIMIT / 1000} kB; everything ${(all / 1000).toFixed(1)} kB`,
  );
  failed ||= total > LIMIT;
}
process.exit(failed ? 1 : 0);
