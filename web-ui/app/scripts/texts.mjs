// Holds the language files to each other and to the sources: the same codes everywhere, the same
// placeholders in each, none missing, none unused.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

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
// A code is used if it stands as a string, or begins like one that is put together while running.
const literal = new Set([...sources.matchAll(/'([a-z][\w.]*)'/g)].map(([, text]) => text));
const prefixes = [
  ...[...sources.matchAll(/`([a-z][\w.]*\.)\$\{/g)].map(([, prefix]) => prefix),
  ...[...sources.matchAll(/tCode\(\s*'([\w.]+)'/g)].map(([, prefix]) => `${prefix}.`),
];
for (const code of codes) {
  if (!literal.has(code) && !prefixes.some((prefix) => code.startsWith(prefix))) {
    mistakes.push(`${code} is never used`);
  }
}

for (const mistake of mistakes) console.error(mistake);
console.log(`${codes.length} texts in ${LANGS.length} languages, ${mistakes.length} mistakes`);
process.exit(mistakes.length > 0 ? 1 : 0);
