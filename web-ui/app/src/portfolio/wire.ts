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
  /** `incomplete`: more than one of twenty readings of the last days did not come. */
  state: 'ok' | 'incomplete' | 'late' | 'waiting';
  last_contact: string | null;
  acked: number | null;
  head: number | null;
  backlog: number | null;
  newest_reading: string | null;
  meters: number;
  silent: number;
  media: Medium[];
  /** Of the last days; `null` where nothing was expected. */
  completeness: { days: number; expected: number; got: number } | null;
  alarms: (Sentence & { id: number; since: string })[];
}

export interface Site extends SiteRow {
  meters_list: MeterRow[];
  area_m2: number | null;
  /** The meters that count for all of it; `null` while nobody has said. */
  counted: string[] | null;
}

/** An amount, and of how many days it is known. */
export interface Sum {
  days: number;
  value: string;
}

export interface MediumUse {
  /** A medium, or `energy`: all that are counted in kWh. */
  medium: string;
  unit: string;
  of: number;
  undecided: boolean;
  months: { used: Sum; before: Sum }[];
  like: { days: number; used: string; before: string };
  rolling: Sum;
}

export interface SiteUse {
  id: string;
  name: string;
  place: string | null;
  area_m2: number | null;
  media: MediumUse[];
}

export interface Comparison {
  year: number;
  sites: SiteUse[];
}

export type Meter = MeterRow & {
  site: { id: string; name: string; time_zone: string };
  registers: RegisterValue[];
};

export interface PromiseMonth {
  month: string;
  provisional: boolean;
  incomplete: boolean;
  percent: string;
  denominator_s: number;
  counted_s: number;
  /** So much may count without a credit. */
  allowed_s: number;
  unknown_s: number;
  tier: number;
  tier_if_unknown_down: number;
  claimable: string;
  currency: string;
  claim: string;
  stage: string | null;
  deadline: string | null;
  through: number;
}

export interface PromiseRow {
  site: string;
  name: string;
  line: string;
  customer: string;
  month: PromiseMonth;
  /** Months that were claimed and are not credited yet. */
  open: {
    month: string;
    stage: string;
    claimable: string;
    currency: string;
    notified_at: string;
    claim: string;
  }[];
}

/** A document behind an entry. */
export interface Proof {
  name: string;
  sha256: string;
}

export interface SitePromise {
  site: { id: string; name: string; time_zone: string };
  line: string;
  customer: string;
  vendor: string;
  months: string[];
  month: PromiseMonth;
  /** A notice was given that waits for an answer. */
  waits: boolean;
  exclusions: {
    entry: number;
    id: string;
    kind: string;
    from: string;
    until: string;
    who: string;
    why: string;
    proofs: Proof[];
    status: string | null;
    answer: string | null;
  }[];
  /** The notice, and what was said to it. */
  said: {
    entry: number | null;
    at: string;
    step: string;
    who: string;
    note: string;
    proofs: Proof[];
  }[];
  /** What all sites come to that are on the same fee; `null` if it is this one alone. */
  together: {
    rule: 'any_site' | 'weighted';
    percent: string;
    counted_s: number;
    tier: number;
    claimable: string;
    sites: { site: string; name: string; percent: string; counted_s: number }[];
    outages: { from: string; until: string; counted_s: number; sites: string[] }[];
  } | null;
  books: gen.SlaDifference | null;
  countersigned: number | null;
}

export interface EnrolCode {
  code: string;
  url: string;
  expires_at: string;
  site: string;
}
