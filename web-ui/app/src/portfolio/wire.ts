// What the portfolio's API answers. Shapes that the gateway shares stand in lib/wire.ts.
import type * as gen from '../lib/api.gen';
import type { Medium } from '../lib/medium';
import type { Sentence } from '../lib/api.gen';
import type { Ability, MeterRow, RegisterValue, Role, With } from '../lib/wire';

export type Session = With<
  Pick<gen.Session, 'claimed' | 'version'>,
  { can: Ability[]; user: With<gen.SessionUser, { role: Role }> | null }
>;

export interface SiteRow {
  id: string;
  name: string;
  place: string | null;
  time_zone: string;
  /** `null`: a code was made, and nobody has enrolled with it yet. */
  gateway: { id: string; enrolled_at: string; certificate_until: string } | null;
  state: 'ok' | 'late' | 'waiting';
  last_contact: string | null;
  acked: number | null;
  head: number | null;
  backlog: number | null;
  newest_reading: string | null;
  meters: number;
  silent: number;
  media: Medium[];
  alarms: (Sentence & { id: number; since: string })[];
}

export interface Site extends SiteRow {
  meters_list: MeterRow[];
}

export type Meter = MeterRow & {
  site: { id: string; name: string; time_zone: string };
  registers: RegisterValue[];
};

export interface EnrolCode {
  code: string;
  url: string;
  expires_at: string;
  site: string;
}
