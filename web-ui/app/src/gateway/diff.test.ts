import { expect, test } from 'vitest';
import { changes } from './diff';

const told = (before: string, after: string) =>
  changes(before, after).map(({ kind, text, line }) =>
    kind === 'skip' ? '…' : `${{ same: ' ', new: '+', old: '-' }[kind]}${line} ${text}`,
  );

test('a changed line stands between those around it', () => {
  expect(told('a\nb\nc\nd\ne\nf\ng\n', 'a\nb\nc\nX\ne\nf\ng\n')).toEqual([
    ' 2 b',
    ' 3 c',
    '-4 d',
    '+4 X',
    ' 5 e',
    ' 6 f',
  ]);
});

test('what is the same is nothing, and a first version is all new', () => {
  expect(told('a\nb\n', 'a\nb\n')).toEqual([]);
  expect(told('', 'a\nb\n')).toEqual(['+1 a', '+2 b']);
});

test('two changes far apart have a gap between them', () => {
  const text = 'abcdefghijkl'.split('');
  const other = text.map((it) => (it === 'a' || it === 'l' ? it.toUpperCase() : it));
  const found = told(text.join('\n'), other.join('\n'));
  expect(found.filter((it) => it === '…').length).toBe(1);
  expect(found.slice(0, 2)).toEqual(['-1 a', '+1 A']);
});

test('a line that moves out of a repeated section is found', () => {
  const meter = (name: string) => `[[meter]]\nname = "${name}"\n`;
  const before = meter('one') + meter('two') + meter('three');
  expect(told(before, meter('one') + meter('three')).filter((it) => it[0] !== ' ')).toHaveLength(2);
});
