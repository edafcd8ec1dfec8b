// What a meter's registers are grouped into: what it shows now, what it has counted, what it kept.
import type { Choice } from './shown';
import { t } from './text.svelte';
import type { RegisterValue } from './wire';
import { isCurrent, registerName } from './words';

/** Registers that say something about the telegram or the device and not about the building. */
const ABOUT_THE_DEVICE =
  /^(?:time|date|timepoint|fabrication|serial|access|status|error|answer|operating_time|on_time|vif_)/;

export interface Grouped {
  /** Gauges of this moment. */
  live: RegisterValue[];
  /** Counters of this moment. */
  counters: RegisterValue[];
  /** Everything else: due dates, maxima, the device's own. */
  others: RegisterValue[];
}

/** Sorts a meter's registers into the places that they have on its page. */
export function grouped(registers: RegisterValue[]): Grouped {
  const found: Grouped = { live: [], counters: [], others: [] };
  for (const register of registers) {
    const { register: name, kind } = register;
    if (!isCurrent(name) || ABOUT_THE_DEVICE.test(name) || kind === 'flag') {
      found.others.push(register);
    } else if (kind === 'counter') found.counters.push(register);
    else found.live.push(register);
  }
  return found;
}

/** What a history can be about. Flow and return temperature stand on one chart. */
export function historyChoices(
  registers: RegisterValue[],
  first: string | null,
  nameOf = registerName,
): Choice[] {
  const { live, counters, others } = grouped(registers);
  const one = (group: Choice['group']) => (it: RegisterValue) => ({
    registers: [it.register],
    name: nameOf(it.register),
    kind: it.kind,
    group,
  });
  const isPair = (it: RegisterValue) =>
    it.register === 'flow_temperature' || it.register === 'return_temperature';
  const pair = live.filter(isPair).length === 2;
  const choices: Choice[] = [
    ...counters.map(one('counter')),
    ...(pair
      ? [
          {
            registers: ['flow_temperature', 'return_temperature'],
            name: `${registerName('flow_temperature')} · ${registerName('return_temperature')}`,
            kind: 'gauge' as const,
            group: 'gauge' as const,
          },
        ]
      : []),
    ...live.filter((it) => !pair || !isPair(it)).map(one('gauge')),
    ...others.filter((it) => it.unit !== null && it.kind !== 'flag').map(one('kept')),
  ];
  const at = choices.findIndex((it) => it.registers[0] === first);
  if (at > 0) choices.unshift(...choices.splice(at, 1));
  return choices;
}

/** `Lest nå`, or how the value came where that is not at once. */
export function originWord(origin: string): string | null {
  switch (origin) {
    case 'meter_memory':
      return t('state.memory');
    case 'correction':
      return t('state.corrected');
    case 'import':
      return t('origin.import');
    case 'forecast':
      return t('origin.forecast');
    default:
      return null;
  }
}
