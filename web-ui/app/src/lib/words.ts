// Words for what the API names by a code: registers, reasons, ages, failures.
import type { Problem } from './api';
import type { ProblemCode, RegisterWords, Trouble, TroubleCode, Words } from './api.gen';
import { setBits } from './flags';
import { now } from './now.svelte';
import { figure, unitSymbol } from './number';
import { hasText, lang, t, tCode, type Params, type TextKey } from './text.svelte';
import * as time from './time';
import type { Amount, Break } from './wire';
import { zone } from './zone.svelte';

/** The parts of a register's canonical text that follow its quantity. */
const PART = /^(?:import|export|l[123]|total|t[1-9]\d*|s[1-9]\d*|max|min|error)$/;

interface RegisterParts {
  quantity: string;
  parts: string[];
  role: string;
}

/** Takes `energy_import_t1_s1_room` apart: the longest quantity that has a word, its parts, its role. */
export function registerParts(register: string): RegisterParts {
  const words = register.split('_');
  let length = words.findIndex((word, at) => at > 0 && PART.test(word));
  if (length < 0) length = words.length;
  for (let at = length; at > 1; at -= 1) {
    if (hasText(`register.${words.slice(0, at).join('_')}`)) {
      length = at;
      break;
    }
    // A quantity without a word may still be one that stands before its place: temperature_room.
    if (at === 2) length = hasText(`register.${words[0]}`) ? 1 : length;
  }
  const rest = words.slice(length);
  const firstOther = rest.findIndex((word) => !PART.test(word));
  const partsEnd = firstOther < 0 ? rest.length : firstOther;
  return {
    quantity: words.slice(0, length).join('_'),
    parts: rest.slice(0, partsEnd),
    role: rest.slice(partsEnd).join(' '),
  };
}

/** What people call a register: `Energi, tariff 1, sist avlest`. A quantity without a word keeps its code. */
export function registerName(register: string): string {
  const { quantity, parts, role } = registerParts(register);
  const name = tCode('register', quantity, {}, quantity.replaceAll('_', ' '));
  const details = parts.filter((part) => part !== 'total').map(partName);
  if (role) details.push(tCode('place', role.replaceAll(' ', '_'), {}, role));
  return [name, ...details].join(', ');
}

function partName(part: string): string {
  const n = part.slice(1);
  if (/^t\d/.test(part)) return t('register.tariff', { n });
  if (/^s\d/.test(part)) return t('register.storage', { n });
  return tCode('register.part', part, {}, part);
}

/** Whether the register says what is now, rather than what the meter kept from before. */
export function isCurrent(register: string): boolean {
  return !registerParts(register).parts.some((part) => /^s\d|^(?:max|min|error)$/.test(part));
}

/** `for 21 s siden`, `kl. 09.00`, `20. nov. kl. 23.40`. */
export function ago(at: number): string {
  const told = time.age(at, now(), zone(), lang());
  switch (told.unit) {
    case 's':
      return t('age.seconds', { n: told.n });
    case 'min':
      return t('age.minutes', { n: told.n });
    case 'clock':
      return t('age.clock', { clock: told.clock });
    case 'date':
      return t('age.date', { date: told.date, clock: told.clock });
  }
}

/** The time of day, with the date where it is not today: for `siden …`. */
export function moment(at: number): string {
  const clock = time.clock(at, zone(), lang());
  if (time.sameDay(at, now(), zone())) return t('moment.today', { clock });
  if (time.sameDay(at, now() - 24 * time.HOUR, zone())) return t('moment.yesterday', { clock });
  return t('moment.date', { clock, date: time.dayShort(at, zone(), lang(), now()) });
}

/** `3 t 45 min 30 s` */
export function duration(seconds: number): string {
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor((seconds % 3600) / 60);
  const rest = Math.floor(seconds % 60);
  const parts = [];
  if (hours) parts.push(t('duration.h', { n: hours }));
  if (minutes) parts.push(t('duration.min', { n: minutes }));
  if (rest || parts.length === 0) parts.push(t('duration.s', { n: rest }));
  return parts.join(' ');
}

/** `målt fra 23. sep.`: which part of a step is known. */
export function partText({ from, until }: time.Span): string {
  const day = (at: number) => time.dayShort(at, zone(), lang(), now());
  // The last instant lies on the day before the one that `until` begins; of a month that runs it is now.
  return t('part.known', { from: day(from), until: day(Math.min(until - 1, now())) });
}

/** Why there is no value, as a sentence. */
export function reasonText(reason: string): string {
  return tCode('reason', reason, {}, reason);
}

/** Why a gap is one, without a full stop: `Måleren svarer ikke, 3 forsøk`. */
export function gapCause({ reason, tries }: { reason: string; tries: number }): string {
  return t('gap.cause', { reason: reasonText(reason).replace(/\.$/, ''), tries });
}

/**
 * Why a silent meter is silent, where that says more than that it is; else nothing. A silent meter is
 * asked more seldom, and that it was not asked this time is no cause.
 */
export function silenceCause(reason: string | null): string {
  return reason === null || reason === 'silent' || reason === 'not_asked' ? '' : reasonText(reason);
}

/** Why something that was expected is missing. */
export function causeText(cause: string): string {
  const key = `missing.${cause}`;
  return hasText(key) ? t(key) : reasonText(cause);
}

/** What a counter did that is no use. */
export function breakText(it: Break): string {
  const told = ({ value, unit }: Amount) => `${figure(value, lang())} ${unitSymbol(unit)}`.trim();
  return t(`break.${it.kind}`, { old: told(it.old), new: told(it.new) });
}

/** What went wrong, as a sentence. Every code of the server has a text, or this does not compile. */
export function problemText(problem: Problem): string {
  const params: Params = { status: String(problem.status), ...problem.params };
  const { role } = params;
  if (typeof role === 'string') params['role'] = tCode('role.person', role, {}, role);
  const key: TextKey = `problem.${problem.code as ProblemCode}`;
  return hasText(key) ? t(key, params) : problem.detail || t('problem.unknown', params);
}

/** What ails a wire, as a sentence. Every code of the server has a text, or this does not compile. */
export function troubleText({ code, params, text }: Trouble): string {
  const key: TextKey = `trouble.${code as TroubleCode}`;
  return hasText(key) ? t(key, params) : text;
}

/** A text of a device profile, in the language of the page. */
export function inLang(words: Words): string {
  return words[lang()];
}

/** What the bits that are set in a register say; nothing where its bits are not known. */
export function flagTexts(value: string | null, words: RegisterWords | undefined): string[] {
  if (!words || words.bits.length === 0) return [];
  return setBits(value).map((n) => {
    const known = words.bits.find((it) => it.bit === n);
    return known ? inLang(known.text) : t('register.bit', { n });
  });
}

/** A sentence begins with a capital, wherever its first word came from. */
export function capital(text: string): string {
  return text.charAt(0).toLocaleUpperCase(lang()) + text.slice(1);
}
