// What the API answers, for the pages that both programs have: the generated shapes, with the codes
// that are a closed set as such.
import type * as gen from './api.gen';
import type { Medium } from './medium';
import type { Mantissa } from './number';

/** `T` with some of its keys told more exactly. */
export type With<T, U> = Omit<T, keyof U> & U;

export type MeterState = 'ok' | 'late' | 'silent' | 'new';
export type Kind = 'counter' | 'gauge' | 'flag';
export type Step = 'quarter' | 'hour' | 'day' | 'month';
export type Role = 'owner' | 'operator' | 'installer' | 'viewer' | 'tenant' | 'wall';
export type Ability = 'see' | 'inspect' | 'ask' | 'configure' | 'administer';

export type RegisterValue = With<gen.Register, { kind: Kind }>;

/** What both programs know of a meter in a list. */
export type MeterRow = With<
  Pick<
    gen.Meter,
    'id' | 'name' | 'at' | 'last_answer' | 'reason' | 'simulated' | 'state' | 'medium' | 'main'
  >,
  { state: MeterState; medium: Medium | null; main: Omit<gen.MainValue, 'at'> | null }
>;

type Column = Mantissa | null;

/** The portfolio does not know the schedule, so nothing is expected there. */
export type HistoryRow = With<
  gen.Row,
  { mantissa: Column; min: Column; max: Column; mean: Column; expected: number | null }
>;

export type Run = With<gen.Run, { rows: HistoryRow[] }>;

export type History = With<
  Pick<gen.History, 'kind' | 'total' | 'runs' | 'gaps'>,
  { kind: Kind; runs: Run[] }
> & {
  /** The gateway alone tells them. */
  breaks?: Break[];
};

export type Break = With<gen.CounterBreak, { kind: 'rollover' | 'reset' | 'swap' | 'unit' }>;

export type User = With<gen.User, { role: Role }>;

/** What both programs tell of a link. */
export interface AnyLink {
  id: string;
  name: string;
  kind: 'view' | 'edit' | 'screen';
  made: string;
  made_by: string;
  ends?: string | null;
  uses: number;
  used?: string | null;
  /** Whether it can still be opened: a screen's once. */
  open?: boolean;
}

export type Token = With<gen.Token, { scope: Exclude<Ability, 'administer'>[] }>;

export type MadeToken = With<gen.MadeToken, { token: Token }>;

export type { Amount, Gap } from './api.gen';
