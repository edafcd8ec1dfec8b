// Holds the language files to each other and to the sources, of the pages and of the documents: the same codes everywhere, the same
// placeholders in each, none missing, none unused.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { comesLater } from './later.mjs';

const here = new URL('.', import.meta.url).pathname;
const LANGS = ['nb', 'en', 'da'];
const texts = Object.fromEntries(
  LANGS.map((lang) => [
    lang,
    JSON.parse(readFileSync(join(here, `../../texts/${lang}.json`), 'utf8')),
  ]),
);

const mistakes = [];
const codes = Object.keys(texts.nb);
for (const lang of LANGS) {
  for (const code of codes) {
    if (!(code in texts[lang])) mistakes.push(`${lang}.json lacks ${code}`);
    else if (!texts[lang][code].trim()) mistakes.push(`${lang}.json: ${code} is empty`);
  }
  for (const code of Object.keys(texts[lang])) {
    if (!(code in texts.nb)) mistakes.push(`nb.json lacks ${code}, which ${lang}.json has`);
  }
}

/** The names that a text wants filled in; those inside a choice as well, but not its words. */
function placeholders(text) {
  const outside = text.replace(/\b(?:=\d+|zero|one|two|few|many|other)\s*\{/g, '(');
  return [...new Set([...outside.matchAll(/\{(\w+)(?=[,}])/g)].map(([, name]) => name))].sort();
}
for (const code of codes) {
  const wanted = placeholders(texts.nb[code]).join(', ');
  for (const lang of LANGS) {
    const found = placeholders(texts[lang][code] ?? texts.nb[code]).join(', ');
    if (found !== wanted) {
      mistakes.push(`${code}: nb wants {${wanted}}, ${lang} wants {${found}}`);
    }
  }
}

const sources = readdirSync(join(here, '../src'), { recursive: true })
  .filter((name) => /\.(svelte|ts)$/.test(name) && !name.endsWith('.test.ts'))
  .map((name) => readFileSync(join(here, '../src', name), 'utf8'))
  .join('\n');
// What the gateway sets itself says what the pages say, from the same files.
const set = ['commission/sheet.rs']
  .map((name) => readFileSync(join(here, '../../src', name), 'utf8'))
  .join('\n');
// What the audit log holds, the pages have words for.
const audited = ['../../src', '../../../gateway/src']
  .flatMap((folder) => {
    const rust = readdirSync(join(here, folder), { recursive: true });
    return rust
      .filter((name) => name.endsWith('.rs'))
      .map((name) => readFileSync(join(here, folder, name), 'utf8'));
  })
  .flatMap((text) => [...text.matchAll(/\.audit\(\s*[^,;]+,\s*"([a-z_]+)"\.into\(\)/g)])
  .map(([, what]) => what);
for (const what of new Set(audited)) {
  if (!codes.includes(`audit.did.${what}`)) mistakes.push(`nb.json lacks audit.did.${what}`);
}
if (audited.length < 20) mistakes.push('the sources of the audit log are not where they were');
// A code is used if it stands as a string, or begins like one that is put together while running.
const literal = new Set([...sources.matchAll(/'([a-z][\w.]*)'/g)].map(([, text]) => text));
const prefixes = [
  ...[...sources.matchAll(/`([a-z][\w.]*\.)\$\{/g)].map(([, prefix]) => prefix),
  ...[...sources.matchAll(/tCode\(\s*'([\w.]+)'/g)].map(([, prefix]) => `${prefix}.`),
];
for (const [, text] of set.matchAll(/"([a-z][\w.]*)"/g)) literal.add(text);
for (const [, prefix] of set.matchAll(/format!\("([a-z][\w.]*\.)\{/g)) prefixes.push(prefix);
for (const [, prefix] of set.matchAll(/\.code\("([\w.]+)"/g)) prefixes.push(`${prefix}.`);
for (const code of codes) {
  if (!literal.has(code) && !prefixes.some((prefix) => code.startsWith(prefix))) {
    mistakes.push(`${code} is never used`);
  }
}

// A first page says nothing that comes later.
for (const entry of ['gateway', 'portfolio']) {
  const first = new Set();
  const follow = (file) => {
    if (first.has(file)) return;
    first.add(file);
    // Another page comes by `() => import()`, with all texts; a part of this one by `await import()`.
    const imported = readFileSync(file, 'utf8').matchAll(/(?:from |await import\()'(\.[^']+)'/g);
    for (const [, path] of imported) {
      const found = ['', '.ts', '.svelte.ts'].map((end) => join(dirname(file), path + end));
      const source = found.find((it) => statSync(it, { throwIfNoEntry: false })?.isFile());
      if (source && /\.(svelte|ts)$/.test(source)) follow(source);
    }
  };
  follow(join(here, `../src/${entry}/main.ts`));
  for (const file of first) {
    for (const [, code] of readFileSync(file, 'utf8').matchAll(/['`]([a-z]\w*\.[\w.]*)/g)) {
      if (comesLater(code)) mistakes.push(`${code} comes later, and ${file} is of a first page`);
    }
  }
}

for (const mistake of mistakes) console.error(mistake);
console.log(`${codes.length} texts in ${LANGS.length} languages, ${mistakes.length} mistakes`);
process.exit(mistakes.length > 0 ? 1 : 0);
