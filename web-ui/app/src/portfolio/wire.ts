// What the portfolio's API answers: the generated shapes, with the codes that are a closed set as such.
// Shapes that the gateway shares stand in lib/wire.ts.
import type * as shared from '../lib/wire';
import type { Medium } from '../lib/medium';
import type { Ability, RegisterValue, Role, With } from '../lib/wire';
import type * as gen from './api.gen';

export type {
  Comparison,
  Dwelling,
  EnrolCode,
  HandedOver,
  LinkUse,
  Look,
  MediumUse,
  PromiseRow,
  ConfigurationChange,
  SiteErrand,
  SiteErrands,
  SiteUse,
  Sum,
} from './api.gen';
/** States of what is asked of a gateway in which something can still become of it. */
export const OPEN = ['asked', 'waiting', 'going'];

export type { TagRow } from './api.gen';

export type Session = With<
  gen.Session,
  { can: Ability[]; user: With<gen.SessionUser, { role: Role }> | null }
>;

type SiteExact = {
  /** `incomplete`: more than one of twenty readings of the last days did not come. */
  state: 'ok' | 'incomplete' | 'late' | 'released' | 'waiting';
  media: Medium[];
  /** What whoever looks may do here. */
  can: Ability[];
};

export type SiteRow = With<gen.SiteRow, SiteExact>;

type Row = shared.MeterRow & Pick<gen.MeterRow, 'beyond_quota'>;

export type Site = With<gen.Site, SiteExact & { meters_list: Row[] }>;

export type Meter = Row & {
  site: gen.InSite;
  registers: RegisterValue[];
  dwelling: gen.DwellingSeen | null;
};

export type Link = With<gen.Link, { kind: 'view' | 'edit' }>;

/** What somebody may, and where: in a tag or at a site. */
export interface Grant {
  role: Role;
  tag?: string | null;
  site?: string | null;
}

export type SitePromise = With<
  gen.SitePromise,
  { together: With<gen.Together, { rule: 'any_site' | 'weighted' }> | null }
>;
