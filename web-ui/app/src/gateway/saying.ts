// What the overview and the wall say of the building, in words.
import { tCode, t, type Params } from '../lib/text.svelte';
import type { StateName } from '../lib/State.svelte';
import { moment, silenceCause, troubleText } from '../lib/words';
import type { Notice, Overview } from './wire';

/** Is all well, in one sentence. */
export function sentence({ sentence: { code, params } }: Overview): string {
  const medium = params['medium'];
  const filled: Params = { ...numbers(params) };
  if (typeof medium === 'string') {
    filled['medium'] = tCode('medium.meter', medium, {}, t('medium.meter.other'));
  }
  return tCode('overview.sentence', code, filled, t('overview.sentence.starting'));
}

/** Counts come as text; a plural needs them as numbers. */
function numbers(params: Params): Params {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) =>
      typeof value === 'string' && /^\d{1,15}$/.test(value) ? [name, Number(value)] : [name, value],
    ),
  );
}

/** The state that goes with a notice; any other is something to look at. */
export const PILLS: Record<string, StateName> = {
  silent: 'silent',
  bus_down: 'silent',
  late: 'late',
  battery_low: 'late',
  clock: 'clock',
};

/** What fills in the title of a notice. */
export function lookParams({ params, since }: Notice): Params {
  const filled: Params = numbers(params);
  const { error, reason, trouble, trust } = params;
  if (typeof reason === 'string') filled['reason'] = silenceCause(reason);
  if (typeof trust === 'string') filled['trust'] = tCode('clock', trust, {}, trust);
  // The sentence needs them as they came: an address is no count.
  filled['error'] =
    typeof trouble === 'string'
      ? troubleText({ code: trouble, params, text: error ?? '' })
      : (error ?? '');
  filled['since'] = since ? moment(Date.parse(since)) : '';
  return filled;
}

/** What else there is to say of a notice. */
export function lookText(item: Notice): string {
  return tCode('look.text', silenceOf(item), lookParams(item), '').trim();
}

/** A counter goes on while it is silent; what a sensor would have shown is gone. */
function silenceOf({ code, params, since }: Notice): string {
  if (code === 'clock' && Number(params['waiting'] ?? 0) > 0) return 'clock_waiting';
  if (code !== 'silent') return code;
  if (since === null) return 'silent_new';
  return params['medium'] === 'climate' ? 'silent_sensor' : code;
}
