// Made from the wire structs by `UPDATE=1 cargo test -p portfolio --lib`. Do not edit.

/** What a failure is; the language files have a sentence for each. */
export type ProblemCode =
  | 'asked_already'
  | 'claim_expired'
  | 'claim_spent'
  | 'claim_wrong'
  | 'code_needed'
  | 'code_wrong'
  | 'days_alone'
  | 'enough'
  | 'errand_over'
  | 'host'
  | 'label_wrong'
  | 'last_owner'
  | 'ledger_refused'
  | 'link_wrong'
  | 'login_again'
  | 'login_wrong'
  | 'malformed'
  | 'media_type'
  | 'method'
  | 'name_taken'
  | 'name_wrong'
  | 'no_app'
  | 'no_gateway'
  | 'no_statement'
  | 'no_such_alarm'
  | 'no_such_errand'
  | 'no_such_link'
  | 'no_such_meter'
  | 'no_such_register'
  | 'no_such_route'
  | 'no_such_site'
  | 'no_such_tag'
  | 'no_such_token'
  | 'no_such_user'
  | 'not_allowed'
  | 'not_everywhere'
  | 'not_logged_in'
  | 'origin'
  | 'password_common'
  | 'password_long'
  | 'password_short'
  | 'purpose_missing'
  | 'quota'
  | 'released'
  | 'slowed'
  | 'span'
  | 'store'
  | 'tag_deep'
  | 'tag_loop'
  | 'tag_taken'
  | 'tag_used'
  | 'too_large'
  | 'too_many'
  | 'too_slow';

export interface Account {
  accounts: AccountPeriod[];
  step: string;
}

export interface AccountPeriod {
  corrected: number;
  end: string;
  expected: number;
  from_memory: number;
  late: number;
  missing: Cause[];
  of: string;
  received: number;
  start: string;
  unplanned: number;
}

export interface Alarm {
  code: string;
  id: number;
  params: Record<string, string>;
  since: string;
}

export interface Amount {
  unit: string;
  value: string;
}

/** A version of the API, and whether to use it. */
export interface ApiVersion {
  /** Since when it is deprecated. */
  deprecated: string | null;
  /** `beta`: to be tried, it may change any day. `final`: to be relied on. `deprecated`: not to be used any more. */
  stage: string;
  /** When it will be gone. */
  sunset: string | null;
  /** `v1`, `v2.beta`. */
  version: string;
}

/** `{"code":"123456"}` */
export interface AppCode {
  code: string;
}

/** It is shown this once, to be set up. */
export interface AppSecret {
  secret: string;
  uri: string;
}

export interface AskedErrand {
  id: string;
}

export interface Cause {
  cause: string;
  count: number;
}

/** `{"role":"operator","password":"…","without_app":true}` */
export interface ChangedUser {
  grants?: Grant[] | null;
  /** Another password, for who has forgotten theirs. */
  password?: string | null;
  /** Everywhere; or `grants`. */
  role?: string | null;
  /** Ask them for no code any more, because the app is lost. */
  without_app?: boolean;
}

/** `{"code":"7K2M-…","name":"kari","password":"…"}` */
export interface Claim {
  code: string;
  name: string;
  password: string;
}

export interface Comparison {
  sites: SiteUse[];
  year: number;
}

export interface Completeness {
  days: number;
  expected: number;
  got: number;
}

/** One key of a gateway's configuration that gets another value. */
export interface ConfigurationChange {
  /** Of a `bus` or a `meter`: which; otherwise empty. */
  id: string;
  /** As in the gateway's configuration, such as `poll_every_secs`. */
  key: string;
  /** What it is from then on, as a number. */
  number: number | null;
  /** `site`, `bus`, `meter` or `cloud` */
  section: string;
  /** What it is from then on, as a text; without `text` and `number` the key goes away. */
  text: string | null;
}

export interface Dwelling {
  fine: string[];
  household: string;
  marked_at: string;
  marked_by: string;
  meter: string;
}

/** How the page of a dwelling's meter is shown. */
export interface DwellingSeen {
  /** Whether they see what it showed within a day. */
  fine: boolean;
  /** Whether whoever asks has said what for. */
  stated: boolean;
}

export interface EnrolCode {
  code: string;
  expires_at: string;
  site: string;
  url: string;
}

export interface ErrandStep {
  at: string;
  detail: string;
  errand: string;
  /** `asked`, the state that it led to, or `taken`. */
  what: string;
  /** A person, `gateway` or `clock`. */
  who: string;
}

export interface Exclusion {
  answer: string | null;
  entry: number;
  from: string;
  id: string;
  kind: string;
  proofs: Proof[];
  status: string | null;
  until: string;
  who: string;
  why: string;
}

export interface Facts {
  area_m2?: number | null;
  counted?: string[] | null;
}

/** A reading in a file: whose it is, and when it was by the clock on the building's wall. */
export type FileReading = Reading & {
  /** RFC 3339, with the offset of the building's time zone. */
  local: string;
  meter: string;
  name: string;
  register: string;
};

export interface Gap {
  from: string;
  reason: string;
  tries: number;
  until: string | null;
}

export interface Gateway {
  certificate_until: string | null;
  enrolled_at: string;
  id: string;
  /** Of its program; absent while it has not said. */
  version: string | null;
}

/** `{"role":"viewer","tag":"…"}`, or of a `site`. */
export interface Grant {
  role: string;
  site: string | null;
  tag: string | null;
}

/** The building that was made, for who has all of them. */
export interface HandedOver {
  site: string | null;
}

/** `{"readings":"stay","tags":["…"]}` */
export interface Handover {
  /** `stay`: the new owner begins with nothing. `go`: all go along, and are not here any more. */
  readings: string;
  /** Where the gateway's new building is; in no branch if it is left out. For who has all buildings. */
  tags?: string[];
}

export interface Health {
  status: string;
  version: string;
}

export interface History {
  gaps: Gap[];
  kind: string;
  meter: string;
  register: string;
  runs: Run[];
  step: string;
  total: Amount | null;
}

/** How long a span may be, by step. */
export interface HistoryDays {
  day: number;
  hour: number;
  month: number;
  quarter: number;
}

export interface InSite {
  id: string;
  name: string;
  time_zone: string;
}

export interface Incident {
  customer: Span | null;
  vendor: Span | null;
}

export interface KeptProof {
  /** In hex: an entry names it so. */
  sha256: string;
}

export interface LikeUse {
  before: string;
  days: number;
  used: string;
}

/** How much may be asked, and how much of it is left. */
export interface Limits {
  address: Requests | null;
  /** Of one register. */
  download_days: number;
  /** Of all of a meter or a building. */
  download_days_of_all: number;
  history_days: HistoryDays;
  quota: Quota | null;
  readings_per_page: number;
  /** Of this person or token. */
  requests: Requests;
}

/** A link, without its secret. */
export interface Link {
  ends: string | null;
  id: string;
  kind: string;
  made: string;
  made_by: string;
  name: string;
  site: string | null;
  tag: string | null;
  used: string | null;
  uses: number;
}

export interface LinkUse {
  address: string;
  agent: string;
  at: string;
}

/** `{"name":"kari","password":"…","code":"123456"}` */
export interface Login {
  /** Of the app, for who has one. */
  code?: string | null;
  name: string;
  password: string;
}

/** Who said what they look for, and how often they looked since. */
export interface Look {
  at: string;
  downloads: number;
  id: string;
  last: string | null;
  looks: number;
  meter: string;
  purpose: string;
  who: string;
}

/** It is shown this once. */
export interface MadeLink {
  link: Link;
  secret: string;
}

export interface MadeTag {
  id: string;
}

/** What the program sends as `Authorization: Bearer …`. It is shown this once. */
export interface MadeToken {
  secret: string;
  token: Token;
}

export interface MainValue {
  at: string;
  register: string;
  unit: string;
  value: string;
}

export interface MediumUse {
  /** Of the days of which both years are known. */
  like: LikeUse;
  medium: string;
  months: MonthUse[];
  /** How many meters or media it is the sum of. */
  of: number;
  /** Of the last 365 days, or of the last of the year. */
  rolling: Sum;
  /** There are several meters, and nobody has said which of them count. */
  undecided: boolean;
  unit: string;
}

export type Meter = MeterRow & {
  dwelling: DwellingSeen | null;
  registers: Register[];
  site: InSite;
};

export interface MeterRow {
  at: string | null;
  /** It is more than was agreed. It is read like the others. */
  beyond_quota: boolean;
  id: string;
  last_answer: string | null;
  main: MainValue | null;
  medium: string;
  name: string;
  reason: string | null;
  simulated: boolean;
  state: string;
}

export interface MonthUse {
  /** The same month a year before; of one that is not over, as many days of it. */
  before: Sum;
  used: Sum;
}

/** A document that is kept, and what its entry calls it. */
export interface NamedProof {
  name: string;
  /** In hex. */
  sha256: string;
}

/** `{"household":"H0203","fine":["operator"]}` */
export interface NewDwelling {
  /** Roles that see what it showed within a day; the others see days and months. */
  fine?: string[];
  /** Whose it is: a number of the flat, or another pseudonym; or a name. */
  household: string;
}

export interface NewEnrolCode {
  place?: string | null;
  site_name: string;
}

export interface NewErrand {
  /** Of a `change`: the version of the gateway's configuration that it is of, as a `dry_run` tells it. Of any other version the gateway refuses it. */
  base?: number | null;
  /** Of a `dry_run` or a `change`: what, 24 keys at most. */
  changes?: ConfigurationChange[];
  /** `diagnosis`, `dry_run` or `change` */
  kind: string;
  /** Of a `change`: how long the gateway may take until it reaches the portfolio again, in seconds from 10 to 3600; 600 if not given. Then it takes the change back. */
  within_s?: number | null;
}

export interface NewExclusion {
  agreed_at?: string | null;
  from: string;
  id: string;
  kind: string;
  notice_at?: string | null;
  proofs?: NamedProof[];
  until: string;
  why: string;
}

/** `{"name":"Revisor","kind":"view","tag":"…","days":30}` */
export interface NewLink {
  /** How long it is good; until it is taken away if it is left out. */
  days?: number | null;
  kind: string;
  name: string;
  site?: string | null;
  /** Of which tag; of all buildings if neither is told. */
  tag?: string | null;
}

/** `{"password":"…","new_password":"…"}` */
export interface NewPassword {
  new_password: string;
  password: string;
}

export interface NewProgress {
  note: string;
  proofs?: NamedProof[];
  step: string;
}

/** `{"name":"Skoler","parent":"…"}` */
export interface NewTag {
  name: string;
  /** The tag that it is a part of; none if it is left out. */
  parent?: string | null;
}

/** `{"name":"energy report","scope":["see"],"days":365}` */
export interface NewToken {
  /** How long it is good; for ever if it is left out. */
  days?: number | null;
  name: string;
  scope: string[];
}

/** `{"name":"per","role":"operator","password":"…"}` */
export interface NewUser {
  grants?: Grant[] | null;
  name: string;
  password: string;
  /** Everywhere; or `grants`. */
  role?: string | null;
}

export interface OpenClaim {
  /** `ok`, or why nothing is due: `late`, `no_evidence`, … */
  claim: string;
  claimable: string;
  currency: string;
  month: string;
  /** Since when, if the notice was in time and in form. */
  notified_at: string;
  stage: string;
}

/** `{"link":"fyl_…"}`: what stands behind the `#` of the address. */
export interface OpenLink {
  link: string;
}

/** `{"latitude_udeg":63430515,"longitude_udeg":10395053}`: millionths of a degree, WGS 84. */
export interface Position {
  latitude_udeg: number;
  longitude_udeg: number;
}

/** Why a request has no answer. */
export interface Problem {
  code: string;
  detail: string;
  params: Record<string, string>;
  status: number;
  title: string;
}

/** What the ledger of one gateway says of it. */
export interface PromiseInBrief {
  customer: string;
  line: string;
  month: PromiseMonth;
  /** Months of which a notice was given and that are not credited yet, the latest first. */
  open: OpenClaim[];
}

/** A month in figures. */
export interface PromiseMonth {
  /** So much may count without a credit. */
  allowed_s: number;
  claim: string;
  claimable: string;
  counted_s: number;
  currency: string;
  deadline: string | null;
  denominator_s: number;
  incomplete: boolean;
  month: string;
  percent: string;
  provisional: boolean;
  stage: string | null;
  through: number;
  tier: number;
  tier_if_unknown_down: number;
  unknown_s: number;
}

/** The promise to one site, in a row of a table. */
export type PromiseRow = PromiseInBrief & {
  name: string;
  site: string;
};

export interface Proof {
  name: string;
  sha256: string;
}

/** `{"purpose":"billing","meter":"…"}` */
export interface Purpose {
  /** Of all dwellings of the building if it is left out. */
  meter?: string | null;
  /** `billing`, `operation`, `advice`, `resident` or `law`. */
  purpose: string;
}

/** Its modules, without the quiet zone. */
export interface Qr {
  /** A row each, `1` for a dark module. */
  rows: string[];
}

export interface QrText {
  text: string;
}

/** What there is, and what there may be. */
export interface Quota {
  /** Buildings with a gateway, or with a code for one. */
  gateways: Things;
  /** What counts something. */
  meters: Things;
  /** What counts nothing: a thermometer. */
  sensors: Things;
}

export interface Reading {
  at: string;
  origin: string;
  quality: string;
  reason: string | null;
  series: number;
  unit: string;
  value: string | null;
}

export interface Readings {
  next: string | null;
  readings: Reading[];
}

/** What the JSON is; it is written piece by piece. */
export interface ReadingsFile {
  readings: FileReading[];
  /** `Europe/Oslo`. */
  time_zone: string;
}

/** They are shown this once. */
export interface RecoveryCodes {
  codes: string[];
}

export interface Register {
  at: string | null;
  decimals: number;
  kind: string;
  origin: string | null;
  quality: string | null;
  reason: string | null;
  register: string;
  unit: string;
  value: string | null;
}

/** Of a building whose gateway went to another owner. */
export interface Released {
  at: string;
  /** `stay` or `go`. */
  readings: string;
  who: string;
}

/** Requests in a window of time. */
export interface Requests {
  limit: number;
  remaining: number;
  reset_seconds: number;
  window_seconds: number;
}

export interface Row {
  end: string;
  expected: number | null;
  got: number;
  mantissa: number | null;
  max: number | null;
  mean: number | null;
  min: number | null;
  spread_unknown: boolean;
  start: string;
}

/** Rows of one series: they count the same steps. */
export interface Run {
  decimals: number;
  rows: Row[];
  series: number;
  unit: string;
}

/** The notice of a breach, or what was said to it. */
export interface Said {
  at: string;
  /** The number of its entry; `null` of the notice. */
  entry: number | null;
  note: string;
  proofs: Proof[];
  /** `claimed`, `acknowledged`, `disputed` or `credited`. */
  step: string;
  who: string;
}

export interface Session {
  can: string[];
  claimed: boolean;
  fingerprint: string;
  fresh: boolean;
  user: SessionUser | null;
  version: string;
}

export interface SessionUser {
  id: string;
  name: string;
  role: string;
}

export type Site = SiteRow & {
  /** The meters that count for all of the building. */
  counted: string[] | null;
  /** How many of its meters are a dwelling's. */
  dwellings: number;
  meters_list: MeterRow[];
};

export interface SiteErrand {
  asked_at: string;
  /** Of a change: what it changes. */
  changes: ConfigurationChange[];
  id: string;
  /** Until when what came of it can be fetched; `null` if nothing can. */
  kept_until: string | null;
  kind: string;
  /** By the gateway, in English; empty if it said nothing. Of a change the lines of its configuration that are other, `-` before what goes and `+` before what comes, or what would be wrong and where. */
  said: string;
  since: string;
  state: string;
  /** Until when somebody at the gateway may answer. */
  until: string;
  /** Of a change: the version of the gateway's configuration that it is of or, once it was made, that came of it; `null` if the gateway has not told one. */
  version: number | null;
  who: string;
}

export interface SiteErrands {
  /** The newest first. */
  errands: SiteErrand[];
  /** Whether there is anybody to be asked. */
  gateway: boolean;
  /** Of the site. */
  name: string;
  /** The newest first. */
  steps: ErrandStep[];
  time_zone: string;
}

/** The promise to one site, with the two books beside each other. */
export interface SitePromise {
  books: SlaDifference | null;
  /** How many entries of the gateway's ledger both have signed. */
  countersigned: number | null;
  customer: string;
  exclusions: Exclusion[];
  line: string;
  month: PromiseMonth;
  /** All months of which the ledger says something, the latest first. */
  months: string[];
  /** The notice, and what was said to it, in order. */
  said: Said[];
  site: InSite;
  together: Together | null;
  vendor: string;
  /** Whether a notice was given that waits for an answer. */
  waits: boolean;
}

export interface SiteRow {
  acked: number | null;
  alarms: Alarm[];
  area_m2: number | null;
  backlog: number | null;
  /** Meters and sensors beyond what was agreed: they are read like the others. */
  beyond_quota: number;
  /** What whoever asks may do here. */
  can: string[];
  completeness: Completeness | null;
  gateway: Gateway | null;
  head: number | null;
  id: string;
  last_contact: string | null;
  media: string[];
  meters: number;
  name: string;
  newest_reading: string | null;
  place: string | null;
  position: Position | null;
  released: Released | null;
  silent: number;
  state: string;
  /** Those that whoever asks knows of. */
  tags: string[];
  taken_over: TakenOver | null;
  time_zone: string;
}

/** `{"tags":["…"]}` */
export interface SiteTags {
  tags: string[];
}

export interface SiteUse {
  area_m2: number | null;
  id: string;
  /** `energy` is the sum of those that are counted in kWh, where all of them are known. */
  media: MediumUse[];
  name: string;
  place: string | null;
}

/** What the two books differ in. */
export interface SlaDifference {
  agreed: SlaView;
  both_s: number;
  /** The credit by the customer's book, by the vendor's, and by what both saw. */
  customer: SlaView;
  incidents: Incident[];
  only_customer_s: number;
  only_vendor_s: number;
  unknown_s: number;
  vendor: SlaView;
}

export interface SlaView {
  claimable: string;
  counted_s: number;
  percent: string;
  tier: number;
}

export interface Span {
  from: string;
  until: string;
}

export interface Sum {
  /** So many days are known. */
  days: number;
  value: string;
}

export interface TagRow {
  id: string;
  name: string;
  parent: string | null;
  sum: TagSum;
}

/** What the buildings of a tag come to, those of its parts included, each once. */
export interface TagSum {
  alarms: number;
  /** Of those whose area is known. */
  area_m2: number;
  areas: number;
  /** Readings that are not here yet. */
  backlog: number;
  /** Of the last days. */
  expected: number;
  got: number;
  /** Of these, so many are late. */
  late: number;
  meters: number;
  silent: number;
  sites: number;
}

/** Of a building whose gateway came from another owner. */
export interface TakenOver {
  at: string;
  /** `go`: all came along. */
  readings: string;
}

/** Things of a kind. */
export interface Things {
  /** `null`: as many as there are. */
  limit: number | null;
  used: number;
}

/** What they come to. */
export interface Together {
  claimable: string;
  counted_s: number;
  /** The line's outages that count, as far as the rule unites them. */
  outages: TogetherOutage[];
  percent: string;
  /** `any_site` or `weighted`. */
  rule: string;
  sites: TogetherSite[];
  tier: number;
}

export interface TogetherOutage {
  counted_s: number;
  from: string;
  /** The names of the sites that were down in it. */
  sites: string[];
  until: string;
}

export interface TogetherSite {
  counted_s: number;
  name: string;
  percent: string;
  site: string;
}

/** A token, without its secret. */
export interface Token {
  ends: string | null;
  id: string;
  made: string;
  name: string;
  scope: string[];
  /** Give or take five minutes; at first when it was made. */
  used: string;
}

export interface User {
  app: boolean;
  /** What they may, and where; absent where it is their role everywhere. */
  grants: Grant[] | null;
  id: string;
  made: string;
  /** Of a gateway's tenant; nobody here is one. */
  meters: string[];
  name: string;
  passkeys: number;
  /** The strongest, where there are grants. */
  role: string;
  sessions: number;
  tokens: number;
  used: string | null;
}

export interface Ways {
  app: boolean;
  recovery: number;
}

export interface Written {
  entry: number;
}
