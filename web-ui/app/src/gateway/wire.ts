// What the gateway's API answers. Shapes that the portfolio shares stand in lib/wire.ts.
import type { Mistake } from '../lib/api';
import type { Medium } from '../lib/medium';
import type { Mantissa } from '../lib/number';
import type { MeterRow, MeterState, RegisterValue, Role, Said, Value } from '../lib/wire';

export type Ability = 'see' | 'inspect' | 'ask' | 'configure' | 'administer';

export interface Session {
  claimed: boolean;
  user: { id: string; name: string; role: Role } | null;
  can: Ability[];
  version: string;
  fingerprint: string;
}

export interface Bus {
  id: string;
  name: string;
  kind: string;
  port: string;
}

export interface Site {
  id: string | null;
  gateway: string;
  name: string;
  place: string | null;
  time_zone: string;
  version: number;
  commissioning: boolean;
  config_problem: { since: string; mistakes: Mistake[] } | null;
  buses: Bus[];
}

export interface BoardRow {
  medium: Medium;
  meters: number;
  silent: number;
  main: string | null;
  live: Value | null;
  today: (Value & { got: number; expected: number }) | null;
  comparison: { kind: 'above' | 'below' | 'as_usual'; percent?: number | null } | null;
  unit: string;
  decimals: number;
  hours: { start: string; mantissa: Mantissa | null; missing: boolean }[];
  usual_hours: (Mantissa | null)[];
}

export interface Quarter {
  start: string;
  expected: number;
  got: number;
  from_memory: number;
}

export interface LookAt extends Said {
  meter: string | null;
  bus: string | null;
  since: string | null;
}

export interface Overview {
  at: string;
  day: { date: string; start: string; end: string };
  sentence: Said;
  outdoor: (Value & { at: string }) | null;
  media: BoardRow[];
  completeness: {
    expected: number;
    got: number;
    missing: number;
    from_memory: number;
    quarters: Quarter[];
  };
  look_at: LookAt[];
}

export interface GatewayMeterRow extends MeterRow {
  bus: string;
  part_of: string | null;
  today: (Value & { register: string; got: number; expected: number }) | null;
}

export interface Meter extends GatewayMeterRow {
  address: string;
  profile: string | null;
  poll_every_secs: number;
  identity: { serial: string; manufacturer: string | null; version: string | null } | null;
  took_ms: number | null;
  error: string | null;
  registers: RegisterValue[];
  telegrams: string[];
}

export interface BusStatus extends Bus {
  state: 'up' | 'down' | 'starting';
  last_error: { at: string; text: string } | null;
  answered: number;
  failed: number;
  median_ms: number | null;
  p95_ms: number | null;
  round_ms: number | null;
  meters: number;
  silent: number;
}

export interface Sync {
  url: string;
  enrolled: boolean;
  acked: number;
  head: number;
  backlog: number;
  last_contact: string | null;
  last_error: string | null;
}

export interface UptimeSpan {
  from: string;
  until: string;
  code: string;
}

export interface UptimeDay {
  date: string;
  start: string;
  end: string;
  down_s: number;
  short_s: number;
  unknown_s: number;
}

export interface Uptime {
  month: string;
  start: string;
  end: string;
  running: boolean;
  percent: string;
  tier: number;
  tier_if_unknown_down: number;
  denominator_s: number;
  down_s: number;
  short_s: number;
  unknown_s: number;
  incomplete: boolean;
  outages: { from: string; until: string; counted_s: number }[];
  unknown: { code: string; seconds: number }[];
  days: UptimeDay[];
  spans: UptimeSpan[];
}

export interface Cloud {
  sync: Sync | null;
  uptime: Uptime | null;
}

export interface Status {
  started_at: string;
  version: string;
  fingerprint: string;
  clock: string;
  store: { stored: number; disk_free: number; disk_size: number; trouble: string | null };
  buses: BusStatus[];
  sync: Sync | null;
}

export interface User {
  id: string;
  name: string;
  role: Role;
  meters: string[];
  made: string;
  last_login: string | null;
}

export interface LiveEntry {
  state: MeterState;
  at: string | null;
  last_answer: string | null;
  reason: string | null;
  took_ms: number | null;
  values: RegisterValue[];
}

export interface LiveEvent {
  revision: number;
  at: string;
  meters: Record<string, LiveEntry>;
}
