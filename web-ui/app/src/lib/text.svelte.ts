// What the page says, in bokmål, English or Danish.
//
// Every text stands in web-ui/texts/{nb,en,da}.json under its code; a code without a text does not
// compile. A text may hold `{name}`, `{n, plural, one {# meter} other {# meters}}` and
// `{who, select, owner {…} other {…}}`, a small part of ICU's message format.
import type nb from '../../../texts/nb.json';
import { count } from './number';

export type Lang = 'nb' | 'en' | 'da';
export type TextKey = keyof typeof nb;
export type Params = Record<string, string | number>;

export const LANGS: readonly Lang[] = ['nb', 'en', 'da'];

type Texts = Record<string, string>;

type Files = Record<Lang, () => Promise<{ default: Texts }>>;

const FIRST: Files = {
  nb: () => import('../../../texts/nb.json?first'),
  en: () => import('../../../texts/en.json?first'),
  da: () => import('../../../texts/da.json?first'),
};

/** What no first page says: `scripts/later.mjs`. */
const LATER: Files = {
  nb: () => import('../../../texts/nb.json?later'),
  en: () => import('../../../texts/en.json?later'),
  da: () => import('../../../texts/da.json?later'),
};

/** The fetching of what no first page says, once another page was asked for. */
let rest: Promise<void> | null = null;

let current = $state<{ lang: Lang; texts: Texts }>({ lang: 'nb', texts: {} });

/** The language of the page. */
export function lang(): Lang {
  return current.lang;
}

/** The language that the address asks for, else the one chosen here before, else the browser's. */
export function preferredLang(search: string): Lang {
  const asked = new URLSearchParams(search).get('lang');
  const kept = localStorage.getItem('fyrhus.lang');
  for (const wish of [asked, kept, ...navigator.languages]) {
    const code = wish?.toLowerCase().split('-')[0];
    if (code === 'no' || code === 'nn') return 'nb';
    const found = LANGS.find((it) => it === code);
    if (found) return found;
  }
  return 'en';
}

/** Changes the language of the page once its texts are here. */
export async function setLang(next: Lang): Promise<void> {
  const { default: first } = await FIRST[next]();
  // Whoever asks for the rest from here on asks in this language.
  const later = rest ? (await LATER[next]()).default : {};
  current = { lang: next, texts: { ...later, ...first } };
  document.documentElement.lang = next;
}

/** Fetches the texts that pages other than the first say. */
export function allTexts(): Promise<void> {
  if (!rest) {
    rest = setRest();
    rest.catch(() => (rest = null));
  }
  return rest;
}

async function setRest(): Promise<void> {
  const { default: texts } = await LATER[current.lang]();
  current = { ...current, texts: { ...texts, ...current.texts } };
}

/** Keeps the choice for the next visit with this browser. */
export function rememberLang(next: Lang): void {
  localStorage.setItem('fyrhus.lang', next);
}

/** The text with this code. */
export function t(key: TextKey, params: Params = {}): string {
  const text = current.texts[key];
  return text === undefined ? key : format(text, params, current.lang);
}

/** Whether there is a text for a code that the server made. */
export function hasText(key: string): key is TextKey {
  return key in current.texts;
}

/** The text of a code that the server made, or `otherwise` where this page is older than the server. */
export function tCode(prefix: string, code: string, params: Params, otherwise: string): string {
  const key = `${prefix}.${code}`;
  return hasText(key) ? t(key, params) : otherwise;
}

/** Fills in `text`. Exported for its tests. */
export function format(text: string, params: Params, language: Lang): string {
  let out = '';
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('{', at);
    if (open < 0) return out + text.slice(at);
    const close = matching(text, open);
    out += text.slice(at, open) + placeholder(text.slice(open + 1, close), params, language);
    at = close + 1;
  }
  return out;
}

function placeholder(inside: string, params: Params, language: Lang): string {
  const [, name = '', kind, rest = ''] =
    /^\s*(\w+)\s*(?:,\s*(plural|select)\s*,)?([^]*)$/.exec(inside) ?? [];
  const value = params[name];
  if (value === undefined) return `{${name}}`;
  if (!kind) return typeof value === 'number' ? count(value, language) : value;

  const choices = branches(rest);
  const plain = String(value);
  const chosen =
    kind === 'select'
      ? choices.get(plain)
      : (choices.get(`=${plain}`) ??
        choices.get(new Intl.PluralRules(language).select(Number(value))));
  const branch = chosen ?? choices.get('other') ?? '';
  const shown = typeof value === 'number' ? count(value, language) : value;
  return format(branch.replaceAll('#', shown), params, language);
}

/** `one {# meter} other {# meters}` as a map. */
function branches(text: string): Map<string, string> {
  const found = new Map<string, string>();
  const label = /\s*(=?\w+)\s*\{/y;
  let at = 0;
  for (;;) {
    label.lastIndex = at;
    const match = label.exec(text);
    if (!match) return found;
    const open = label.lastIndex - 1;
    const close = matching(text, open);
    found.set(match[1] ?? '', text.slice(open + 1, close));
    at = close + 1;
  }
}

/** Where the brace that opens at `open` is closed; the end of the text if it never is. */
function matching(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === '{') depth += 1;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  return text.length;
}
