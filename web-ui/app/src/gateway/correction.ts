// What both forms of corrections share: a figure as somebody types it, and why one is refused.
import type { Problem } from '../lib/api';
import { t, tCode } from '../lib/text.svelte';
import { problemText } from '../lib/words';

/** As the API takes it: no blanks between digits, a point, a hyphen for minus. What is no figure stays. */
export function typedFigure(text: string): string {
  return text
    .trim()
    .replaceAll(/(?<=\d)\s+(?=\d)/g, '')
    .replace('−', '-')
    .replace(',', '.');
}

/** Why a correction is refused, in words; '' where none is. */
export function refusal(problem: Problem | null): string {
  const because = problem?.params['because'];
  if (!problem || typeof because !== 'string') return problem ? problemText(problem) : '';
  return t('problem.correction_refused', {
    why: tCode('correct.not', because, {}, problem.detail),
  });
}
