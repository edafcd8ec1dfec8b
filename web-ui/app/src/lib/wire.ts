// What the API answers, for the pages that both programs have. Times are RFC 3339 UTC.
import type { Mantissa } from './number';
import type { Medium } from './medium';
import type { Params } from './text.svelte';

export type MeterState = 'ok' | 'late' | 'silent' | 'new';
export type Kind = 'counter' | 'gauge' | 'flag';
export type Step = 'quarter' | 'hour' | 'day' | 'month';
export type Role = 'owner' | 'operator' | 'installer' | 'tenant' | 'wall';

export interface Value {
  value: string;
  unit: string;
}

export interface RegisterValue {
  register: string;
  kind: Kind;
  unit: string | null;
  decimals: number | null;
  value: string | null;
  reason: string | null;
  at: string;
  quality: string;
  origin: string;
}

export interface MeterRow {
  id: string;
  name: string;
  medium: Medium | null;
  state: MeterState;
  at: string | null;
  last_answer: string | null;
  reason: string | null;
  simulated: boolean;
  main: (Value & { register: string }) | null;
}

export interface HistoryRow {
  start: string;
  end: string;
  mantissa: Mantissa | null;
  min: Mantissa | null;
  max: Mantissa | null;
  mean: Mantissa | null;
  got: number;
  expected: number | null;
  spread_unknown: boolean;
}

export interface Run {
  series: number;
  unit: string;
  decimals: number;
  rows: HistoryRow[];
}

export interface Gap {
  from: string;
  until: string;
  reason: string;
  tries: number;
}

export interface History {
  kind: Kind;
  total: Value | null;
  runs: Run[];
  gaps: Gap[];
}

export interface Said {
  code: string;
  params: Params;
}
