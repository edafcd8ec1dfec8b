import { expect, test } from 'vitest';
import { format } from './text.svelte';

test('a text is filled in', () => {
  expect(format('Hull {from}–{until}.', { from: '09.45', until: '10.30' }, 'nb')).toBe(
    'Hull 09.45–10.30.',
  );
  expect(format('{n} av {all}', { n: 1234, all: 5 }, 'nb')).toBe('1\u202f234 av 5');
});

test('a plural follows its number, and # is the number', () => {
  const text = '{n, plural, =0 {ingen måler} one {# måler} other {# målere}} svarer';
  expect(format(text, { n: 0 }, 'nb')).toBe('ingen måler svarer');
  expect(format(text, { n: 1 }, 'nb')).toBe('1 måler svarer');
  expect(format(text, { n: 1200 }, 'nb')).toBe('1\u202f200 målere svarer');
});

test('a choice may hold other placeholders', () => {
  const text = '{who, select, owner {eieren {name}} other {noen}}';
  expect(format(text, { who: 'owner', name: 'Kari' }, 'nb')).toBe('eieren Kari');
  expect(format(text, { who: 'wall', name: 'Kari' }, 'nb')).toBe('noen');
});

test('what is missing is seen, and a broken text does no harm', () => {
  expect(format('{gone} her', {}, 'nb')).toBe('{gone} her');
  expect(format('uten slutt {n', { n: 1 }, 'nb')).toBe('uten slutt 1');
});
