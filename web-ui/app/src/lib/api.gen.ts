// Made from the wire structs by `UPDATE=1 cargo test -p web-ui`. Do not edit.

/** What a failure is; the language files have a sentence for each. */
export type ProblemCode =
  | 'busy'
  | 'certificate_broken'
  | 'certificate_chain'
  | 'certificate_early'
  | 'certificate_ended'
  | 'certificate_failed'
  | 'certificate_key_apart'
  | 'certificate_key_kind'
  | 'certificate_key_none'
  | 'certificate_key_sealed'
  | 'certificate_names'
  | 'certificate_none'
  | 'certificate_purpose'
  | 'certificate_stranger'
  | 'claim_expired'
  | 'claim_spent'
  | 'claim_wrong'
  | 'code_needed'
  | 'code_wrong'
  | 'config_changed'
  | 'config_failed'
  | 'config_wrong'
  | 'correction_refused'
  | 'counter_wrong'
  | 'disk_full'
  | 'display_wrong'
  | 'draw_none'
  | 'enough'
  | 'enrol_clock'
  | 'enrol_code'
  | 'enrol_failed'
  | 'enrol_unreachable'
  | 'errand_over'
  | 'host'
  | 'if_match_missing'
  | 'key_file'
  | 'key_number'
  | 'key_password'
  | 'key_wrong'
  | 'keys_failed'
  | 'label_wrong'
  | 'last_owner'
  | 'ledger_broken'
  | 'ledger_failed'
  | 'ledger_refused'
  | 'link_wrong'
  | 'list_wrong'
  | 'login_again'
  | 'login_wrong'
  | 'malformed'
  | 'media_type'
  | 'method'
  | 'name_taken'
  | 'name_wrong'
  | 'no_app'
  | 'no_backup'
  | 'no_config'
  | 'no_photo'
  | 'no_room'
  | 'no_scan'
  | 'no_scan_here'
  | 'no_statement'
  | 'no_stick'
  | 'no_such_bus'
  | 'no_such_key'
  | 'no_such_link'
  | 'no_such_meter'
  | 'no_such_paper'
  | 'no_such_passkey'
  | 'no_such_plan'
  | 'no_such_register'
  | 'no_such_route'
  | 'no_such_session'
  | 'no_such_token'
  | 'no_such_user'
  | 'no_version'
  | 'not_allowed'
  | 'not_claimed'
  | 'not_logged_in'
  | 'origin'
  | 'paper_wrong'
  | 'passkey_host'
  | 'passkey_wrong'
  | 'password_common'
  | 'password_long'
  | 'password_short'
  | 'photo_wrong'
  | 'piece_elsewhere'
  | 'port_closed'
  | 'port_taken'
  | 'port_wrong'
  | 'scan_runs'
  | 'slowed'
  | 'span'
  | 'stopping'
  | 'store'
  | 'too_fine'
  | 'too_large'
  | 'too_slow';

/** What ails a wire; the language files have a sentence for each. */
export type TroubleCode =
  | 'alike'
  | 'broke_off'
  | 'checksum'
  | 'foreign'
  | 'gone'
  | 'held_down'
  | 'key_missing'
  | 'key_wrong'
  | 'misfit'
  | 'noise'
  | 'port_denied'
  | 'port_host'
  | 'port_login'
  | 'port_lost'
  | 'port_missing'
  | 'port_mute'
  | 'port_no_broker'
  | 'port_no_forecast'
  | 'port_no_gpio'
  | 'port_no_onewire'
  | 'port_no_password'
  | 'port_not_allowed'
  | 'port_not_serial'
  | 'port_refused'
  | 'port_speed'
  | 'port_status'
  | 'port_system'
  | 'port_taken'
  | 'port_unreachable'
  | 'port_untrusted'
  | 'quiet'
  | 'refused'
  | 'refused_answer'
  | 'silent'
  | 'silent_behind_gateway'
  | 'undecodable'
  | 'unsettled'
  | 'wrong_meter';

/** What is told of something that is no number; the language files have a sentence for each. */
export type SaidKind =
  | 'alarm'
  | 'cut_short'
  | 'invalid'
  | 'lost'
  | 'more_follow'
  | 'nameless'
  | 'permanent_error'
  | 'power_low'
  | 'secret'
  | 'temporary_error'
  | 'unread'
  | 'value';

/** What was expected and what came. */
export interface Account {
  /** By what was asked for, and by time. A period without anything expected is not there. */
  accounts: AccountPeriod[];
  /** `quarter`, `hour`, `day`, `month`. */
  step: string;
}

/** The account of one period. */
export interface AccountPeriod {
  /** What a person put in. */
  corrected: number;
  end: Time;
  /** What the schedule of that time planned: the sum of those below but `unplanned`. */
  expected: number;
  /** What the meter remembered and told later. */
  from_memory: number;
  /** What came after its quarter hour, before the next was planned. */
  late: number;
  /** The rest, by cause. */
  missing: Cause[];
  /** The meter's id or the bus's; empty for the site. */
  of: string;
  /** What came when it was asked for. */
  received: number;
  start: Time;
  /** What came beyond it. */
  unplanned: number;
}

/** How a contract is read where it is silent: each setting by its word, as usual if it is left out. */
export interface AgreedReading {
  /** `month_end`, `crossing`, `first_outage` */
  breach_moment: string | null;
  /** `manual`, `refund` */
  credit_without_next_bill: string | null;
  /** `contract`, `real` */
  denominator: string | null;
  /** `not_counted`, `counted` */
  ingest_outage: string | null;
  /** `whole_window`, `remainder_valid` */
  late_notice: string | null;
  /** `wired`, `metered` */
  link: string | null;
  /** `any_site`, `weighted` */
  many_sites_one_fee: string | null;
  /** `date_diff`, `clear_days`, `hours72` */
  notice_rule: string | null;
  /** `by_days`, `full_month` */
  partial_month: string | null;
  /** `2`, `1` */
  recovery_successes: string | null;
  /** `gross`, `net` */
  short_rule: string | null;
  /** `down`, `unknown` */
  single_vantage: string | null;
  /** `whole`, `per_month` */
  straddle: string | null;
  /** `up`, `down` */
  unknown: string | null;
}

/** One tier as people write it. */
export interface AgreedTier {
  /** `99.50`, in percent. */
  below: string;
  /** In percent of the month's fee. */
  credit: number;
}

/** A contract as people write it. */
export interface Agreement {
  /** The fee of a year, net of VAT: `12000.00` */
  annual_fee: string;
  claim_days: number | null;
  currency: string;
  customer: string;
  /** The first day that is not covered any more; `null` if no end is agreed. */
  end: string | null;
  /** The limit of all liability in twelve months. */
  liability_cap: string | null;
  /** The number of the contract, or the line's name in it. */
  line: string;
  notice_days: number | null;
  policy: AgreedReading;
  /** The sites that have this one fee. */
  sites: string[];
  /** The first covered day; `null` for ever before. */
  start: string | null;
  /** Below which uptime how much is credited; the usual ones if there are none. */
  tier: AgreedTier[];
  /** Whose days and months they are: `Europe/Oslo` */
  time_zone: string;
  /** In tenths of a percent: 250 for 25 %. */
  vat_permille: number;
  vendor: string;
}

/** An exact amount: `1396.317 MWh`. */
export interface Amount {
  /** The ASCII code of the unit: `kWh`, `m3`, `C`; `1` for a bare number. */
  unit: string;
  /** Decimal text, with the digits that the meter shows. */
  value: string;
}

/** A local day. */
export interface AnalysedDay {
  /** 23, 24 or 25 hours later. */
  end: Time;
  /** The day's mean, in steps of `outdoor`; `null` if less than 80 % of the readings came. */
  outdoor: number | null;
  start: Time;
  /** In steps of the analysis; `null` if less than 95 % of the readings came. */
  used: number | null;
}

/** What a medium's use looks like: the meters that are part of no other, added up. */
export interface Analysis {
  cooled: Cooled | null;
  /** The local days that have ended. */
  days: AnalysedDay[];
  decimals: number | null;
  /** What was used in each hour of UTC from `start` on; `null` where it is not known in full. */
  hours: (number | null)[];
  medium: string;
  /** How many meters are added up. */
  meters: number;
  outdoor: OutdoorHours | null;
  signature: Signature | null;
  /** The first of the hours. */
  start: Time;
  /** ASCII code, of everything that was used; `null` if nothing is known of the span. */
  unit: string | null;
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

/** What an app shows. */
export interface AppCode {
  /** Six digits. */
  code: string;
}

/** What an app needs. */
export interface AppSecret {
  /** To be typed, in base32. */
  secret: string;
  /** The same for a camera: `otpauth://totp/…`. */
  uri: string;
}

/** Who did what. */
export interface AuditEntry {
  at: Time;
  /** To what. */
  detail: string;
  /** Counted from 1, without a hole. */
  number: number;
  /** As a code: `login`, `user_added`, `link_used`. */
  what: string;
  /** By name; `gateway`, `clock` for what nobody did. */
  who: string;
}

/** How far the audit log is proven. */
export interface AuditStanding {
  broken: BrokenAt | null;
  /** The number of the oldest entry; 0 if there is none. */
  first: number;
  /** Whether what was signed last is not there any more, or another key signed it. */
  forged: boolean;
  /** SHA-256 of the newest entry over the one before it, 64 hexadecimal digits. */
  hash: string;
  /** The number of the newest entry; 0 if there is none. */
  newest: number;
  /** The newest entry under the gateway's signature, which is made anew every ten minutes. */
  signed: number | null;
}

/** Where the newest backup stands. */
export interface Backup {
  at: Time | null;
  /** Of one that is ready. */
  bytes: number | null;
  /** How many are free then. */
  free: number | null;
  /** What is not in it, because it is a backup itself: names in the state directory. */
  left_out: string[];
  /** Of one that failed for want of room: how many bytes are needed. */
  needed: number | null;
  /** `none`, `making`, `ready`, `failed`. */
  state: string;
  /** Who asked for it; empty if nobody did. */
  who: string;
  /** Why another failed, as one English sentence. */
  why: string | null;
}

/** A backup on it. */
export interface BackupOnStick {
  /** When it was written, by the clock of whoever did. */
  at: Time;
  bytes: number;
  file: string;
}

/** Where the backup is copied to. */
export interface BackupToStick {
  /** As the gateway tells of it. */
  stick: string;
}

/** Amounts that can be added up. */
export interface Balance {
  decimals: number;
  /** `energy` or `water`. */
  kind: string;
  /** Mains and sub-meters, in the order of the configuration. */
  meters: Metered[];
  /** ASCII code. */
  unit: string;
}

/** A battery that is running low. */
export interface Battery {
  level: Amount | null;
  seen_at: Time | null;
  /** Who has taken notice of it. */
  seen_by: string | null;
  /** What tells so: `status`, `flag`, `share`, `lifetime`. */
  sign: string;
  since: Time;
}

/** One bin of a histogram. */
export interface Bin {
  count: number;
  /** Its longest time, in microseconds. */
  up_to_us: number;
}

/** What a bit of a flag register means when it is set. */
export interface Bit {
  /** Counted from 0, the least. */
  bit: number;
  text: Words;
}

/** The Modbus server for the building's management system. */
export interface Bms {
  /** Where it listens; `null` while it is off or cannot. */
  listening: string | null;
  /** In the order of their addresses. */
  registers: BmsRegisters[];
  /** What is wrong with it, in English, for a technician. */
  trouble: string | null;
  /** The first Modbus unit; `null` while it is off. */
  unit: number | null;
}

/** The registers of one value. */
export interface BmsRegisters {
  /** The first of its 16 registers, counted from 0. */
  address: number;
  /** Decimals of the integers. */
  decimals: number;
  /** ASCII code of the unit of measure. */
  measured_in: string;
  /** The meter's id. */
  meter: string;
  /** What people call it; `null` if it is no longer configured. */
  meter_name: string | null;
  /** `energy_import_total`. */
  register: string;
  /** The Modbus unit. */
  unit: number;
}

/** An entry that is not what was written. */
export interface BrokenAt {
  /** As it says. */
  at: Time;
  number: number;
}

/** What the building is called. */
export interface Building {
  name: string;
  place?: string | null;
  /** `Europe/Oslo` */
  time_zone: string;
}

/** A bus and how it is doing. Its counts are those since the daemon started. */
export interface Bus {
  /** Questions that were answered. */
  answered: number;
  /** Questions that were not. */
  failed: number;
  id: string;
  /** `mbus`, `modbus`. */
  kind: string;
  last_error: BusError | null;
  /** Half of the answers came within this. */
  median_ms: number | null;
  /** Meters on it. */
  meters: number;
  name: string;
  /** 19 of 20 answers came within this. */
  p95_ms: number | null;
  port: string;
  /** How long the last round over all meters took. */
  round_ms: number | null;
  scan: Scan | null;
  /** Of these, how many do not answer. */
  silent: number;
  /** `up`, `down`, `starting`. */
  state: string;
  /** How many meters are heard on it that are not in the configuration; `null` where nobody can be heard. They are told with the bus. */
  strangers: number | null;
}

/** A bus and its wire. */
export interface BusDetail {
  bus: Bus;
  /** What the last scan has found. */
  found: FoundMeter[];
  health: Health | null;
  /** Where several meters answered it at once and could not be told apart. */
  several: string[];
  /** Who is heard and is not in the configuration. */
  strangers: Stranger[];
}

/** What went wrong last on a bus. */
export interface BusError {
  at: Time;
  trouble: Trouble;
}

/** Why something is missing. */
export interface Cause {
  /** `silent`, `bus_down`, ..., `gateway_off`, `power_off`, `clock_wrong`, `disk`, `configuration_changed`, `never_asked`. */
  cause: string;
  count: number;
}

/** The certificate that the pages come with. */
export interface Certificate {
  /** The SHA-256 of the authority's, which stays. */
  authority: string;
  /** Whether that is one of them. */
  covered: boolean;
  /** The names and addresses that it is for. */
  covers: string[];
  ends: Time | null;
  /** Its SHA-256 as browsers show it. */
  fingerprint: string;
  /** Under which the gateway was asked now. */
  host: string;
  /** `own`, of the gateway's own authority; of the owner: `brought`, in files that `fyrhus.toml` names, or `uploaded`. */
  kind: string;
  /** Why the one that the owner has brought is not used, as one English sentence. */
  trouble: string | null;
}

/** What a plan is from now on. */
export interface ChangedPlan {
  name: string;
  /** All that are on it. */
  pins: Pin[];
}

/** What somebody is from now on. */
export interface ChangedUser {
  /** The meters of a tenant. */
  meters?: string[];
  /** Another password, for who has forgotten theirs. */
  password?: string | null;
  /** `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`. */
  role: string;
  /** Ask them for no code any more, because the app is lost. */
  without_app?: boolean;
}

/** What the label or the terminal says, and who the owner will be. */
export interface Claim {
  /** Capitals, spaces and dashes do not matter. */
  code: string;
  name: string;
  password: string;
}

/** The sync, and a month of uptime. */
export interface Cloud {
  sync: Sync | null;
  uptime: Uptime | null;
}

/** How far commissioning is. */
export interface Commission {
  at: Time | null;
  /** `untrusted`, `floor`, `holdover`, `synced`. */
  clock: string;
  /** Whether there is a building at all. */
  has_site: boolean;
  meters: CommissionedMeter[];
  now: Time;
  signed: SignedBody | null;
  /** Where it stands: `claim`, `site`, `buses`, `scan`, `meters`, `plates`, `checks`, `cloud`, `report`; empty before the first. */
  step: string;
  /** The version of the configuration in force. */
  version: number;
  /** Who changed it last; empty if nobody did. */
  who: string;
}

/** A meter and what was done with it. */
export interface CommissionedMeter {
  address: string;
  bus: string;
  checks: PhysicsCheck[];
  draw: DrawBody | null;
  id: string;
  medium: string | null;
  /** What its type is called. */
  model: string | null;
  name: string;
  part_of: string | null;
  /** The SHA-256 of each photo, in hex. */
  photos: string[];
  place: string | null;
  read_at: Time | null;
  /** Why the newest question has no answer. */
  reason: string | null;
  remark: string;
  /** The number that it tells; `null` before its first answer. */
  serial: string | null;
  /** `ok`, `late`, `silent`, `new`. */
  state: string;
  tags: string[];
  test: TestBody | null;
  /** Those that can be compared with its display, the totals first. */
  values: Displayed[];
}

/** An amount beside the usual one. */
export interface Comparison {
  /** `above`, `below`, `as_usual`. */
  kind: string;
  /** `null` for `as_usual`. */
  percent: number | null;
}

/** How many of the answers that were expected today have come. */
export interface Completeness {
  /** Why they are missing, the most frequent first. */
  causes: Cause[];
  expected: number;
  from_memory: number;
  /** Those from the meters' memory among them. */
  got: number;
  missing: number;
  /** Those that have ended. */
  quarters: Quarter[];
}

/** Why a newer configuration is not in force. */
export interface ConfigProblem {
  mistakes: Mistake[];
  since: Time;
}

/** How warm water came and left, day by day, weighted by the volume that came. */
export interface Cooled {
  back: (number | null)[];
  decimals: number;
  /** One for each day; `null` where it is not known. */
  flow: (number | null)[];
  meter: string;
  name: string;
  /** ASCII code and decimals of the temperatures. */
  unit: string;
  volume: (number | null)[];
  volume_decimals: number;
  /** ASCII code and decimals of the volumes. */
  volume_unit: string;
}

/** What holds instead of a reading. */
export interface CorrectionRequest {
  /** When the reading was, to the millisecond; or when there should have been one. */
  at: string;
  /** `energy`, `flow_temperature`. */
  register: string;
  /** `48213.6`, or with its unit: `48213.6 kWh`. */
  value: string;
  /** For whoever asks later; 500 bytes at most. */
  why: string;
}

/** What the counter shows from now on. */
export interface Counter {
  /** With its unit: `48213.600 kWh`. */
  counter: string;
}

/** A counter ran over, was set back, or goes on in another device or unit. None of it is use. */
export interface CounterBreak {
  at: Time;
  /** `rollover`, `reset`, `swap`, `unit` */
  kind: string;
  /** The first figure after it. */
  new: Amount;
  new_serial: string;
  /** The last figure before it. */
  old: Amount;
  old_at: Time;
  /** Of the device that showed it; empty if it does not tell. */
  old_serial: string;
}

/** What the meter's display shows. */
export interface CounterRequest {
  /** `48213.6`, or with its unit: `48213.6 kWh`. */
  display: string;
}

/** The local day. */
export interface Day {
  /** `2026-11-21` */
  date: string;
  /** 23, 24 or 25 hours later. */
  end: Time;
  start: Time;
}

/** A type of meter. */
export interface Device {
  /** `MULTICAL 601`; several if their telegrams do not tell them apart. */
  models: string[];
  /** What its registers are called and their bits mean, where the words of their keys do not say it. */
  registers: RegisterWords[];
  /** `Kamstrup` */
  vendor: string;
}

/** A value that a meter shows, and what somebody read off the display. */
export interface Displayed {
  /** `counter`, `gauge`, `flag`. */
  kind: string;
  plate: PlateBody | null;
  register: string;
  value: Amount;
}

/** An amount that is drawn while a meter counts. */
export interface DrawBody {
  at: Time;
  counted: Amount | null;
  drawn: Amount | null;
  from: Amount;
  register: string;
}

/** A timed draw. */
export interface Drawing {
  /** How much was drawn; left out to begin. */
  drawn?: string | null;
  register: string;
  /** Of it: `l`, `m3`, `kWh`. */
  unit?: string;
}

/** Which cloud, and the one-time code that it gave. */
export interface Enrolment {
  code: string;
  /** `https://portfolio.example:9443` */
  url: string;
}

/** Something that the portfolio asks. */
export interface Errand {
  id: string;
  /** `diagnosis`, `dry_run` or `change`, or `unknown` to this version. */
  kind: string;
  /** Of a change, the lines of the configuration that are other: `-` before what goes, `+` before what comes, each under its section. Otherwise empty. */
  lines: string;
  /** Why it failed, in English; empty if it did not. */
  said: string;
  /** `waiting`, `going`, `done`, `refused`, `failed`, `withdrawn` or `expired`. */
  state: string;
  until: Time;
  /** Who asks, by the name that the portfolio knows them under. */
  who: string;
}

/** What the portfolio asks. */
export interface Errands {
  /** What is asked, and what was since the start, the newest first. */
  asked: Errand[];
  /** Whether the portfolio may change the configuration, in the same words. */
  configuration: string;
  /** Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`. */
  diagnosis: string;
}

/** What is left to the portfolio. */
export interface ErrandsLeave {
  /** Whether the portfolio may change the configuration, in the same words. */
  configuration?: string | null;
  /** Whether a diagnosis is sent when the portfolio asks: `ask`, `always` or `never`; without it that stays as it is. */
  diagnosis?: string | null;
}

/** What happened to a meter's numbers. */
export interface Events {
  /** The newest first, at most 200. */
  events: MeterEvent[];
}

/** A figure of a sentence. */
export interface FigureBody {
  name: string;
  /** Decimal text. */
  value: string;
}

/** One thing that is most likely wrong. */
export interface Finding {
  /** That meter's address. */
  address: string | null;
  /** `same_address`, `cut_off`, `wrong_speed`, ...; the language files have a sentence and an advice for each. */
  code: string;
  /** How many: meters, damaged answers, frames, unit loads. */
  count: number;
  /** The device that is held back. */
  held: string | null;
  /** The device that is known, where one is held back. */
  known: string | null;
  /** At which meter; `null` for the wire as a whole. */
  meter: string | null;
  /** Of how many; 0 where that means nothing. */
  of: number;
  since: Time | null;
}

/** Where a day's energy and water went. */
export interface Flow {
  /** What can be added up, each by itself; only those that are metered in parts. */
  balances: Balance[];
  end: Time;
  /** The local day. */
  start: Time;
  /** Up to when it is counted: its end, or now. */
  until: Time;
}

/** A meter that a scan has found. */
export interface FoundMeter {
  /** By which it can be asked: `5`, `67001122KAM0807`. */
  address: string;
  /** Its maker's three letters. */
  manufacturer: string;
  medium: string | null;
  /** The id of the meter of the configuration that it is. */
  meter: string | null;
  /** What that type of meter is called. */
  model: string | null;
  /** The known address that its own is nearly: most likely a fault of the wire has made it up. */
  nearly: string | null;
  /** Its own address, if it tells all of it. */
  own: string | null;
  /** Its address on the bus, or its unit number. */
  primary: number | null;
  /** The id of the profile that fits it. */
  profile: string | null;
  /** What it says that its number is; empty if it says nothing. */
  serial: string;
  /** Its generation. */
  version: string;
}

/** When nothing was read, and why. */
export interface Gap {
  from: Time;
  /** `silent`, `garbled`, `bus_down`, ... */
  reason: string;
  /** How often the meter was asked in it. */
  tries: number;
  until: Time | null;
}

/** What happened. */
export interface Happened {
  /** The latest first. */
  events: HappenedEvent[];
  /** There are earlier ones. */
  more: boolean;
}

/** Something that happened. */
export interface HappenedEvent {
  /** That of a notice, or `outage`, `configuration`. */
  code: string;
  from: Time;
  /** The meter it is about, if that is still installed. */
  meter: string | null;
  number: number;
  /** What its sentence needs. */
  params: Record<string, string>;
  until: Time | null;
}

/** How a wire is. Counts are kept over restarts. */
export interface Health {
  /** What is most likely wrong, the likeliest cause first; empty if all is well. */
  findings: Finding[];
  /** What the level converter is built for, if the configuration tells. */
  max_unit_loads: number | null;
  /** The meters that have been asked, in the order of the configuration. */
  meters: MeterHealth[];
  /** How often the port could not be used after it could. */
  port_failures: number;
  /** What all meters draw together, 1.5 mA each. */
  unit_loads: number;
}

/** What a backup holds. */
export interface HeldBackup {
  bytes: number;
  /** What is damaged in it, an English sentence each. */
  damages: string[];
  /** `2025-11` */
  first_month: string | null;
  gateway: string;
  last_month: string | null;
  meters: number;
  /** What its building is called. */
  name: string | null;
  readings: number;
  /** It is of this gateway. */
  same: boolean;
}

/** What a register did. */
export interface History {
  /** What a counter did that is no use, by time. */
  breaks: CounterBreak[];
  /** When nothing was read, and why. */
  gaps: Gap[];
  /** `counter`, `gauge`, `flag`. */
  kind: string;
  meter: string;
  register: string;
  /** One for each device, unit and step, in order of time. */
  runs: Run[];
  /** `quarter`, `hour`, `day`, `month`, `drawn`. */
  step: string;
  total: Amount | null;
}

/** Which versions of the configuration and which entries of the audit log are what was written. */
export interface HistoryProof {
  audit: AuditStanding;
  /** How many versions in all are not what was saved. */
  broken: number;
  /** The gateway's public Ed25519 key, 64 hexadecimal digits: `--key` of `fyrhus audit`. */
  key: string;
  /** The newest 200, the newest first. */
  versions: VersionStanding[];
}

/** An hour of the day. */
export interface Hour {
  /** `null` if nothing is known of it. */
  mantissa: number | null;
  /** Readings are missing in it. */
  missing: boolean;
  start: Time;
}

/** Which device answers. */
export interface Identity {
  manufacturer: string;
  serial: string;
  version: string;
}

/** What a file of keys brought. */
export interface ImportedKeys {
  /** Meters that had none. */
  new: number;
  /** Meters whose keys were others before, or the same. */
  replaced: number;
}

/** A document that is kept. */
export interface KeptProof {
  /** In hex: an entry names it so. */
  sha256: string;
}

/** That a meter's keys are kept. No answer has a key in it. */
export interface Key {
  /** Whether the authentication key is kept, too. */
  authentication: boolean;
  /** Its number, as it was entered: `67001122KAM`. */
  meter: string;
}

/** The keys of a meter, as its supplier gives them out. */
export interface KeyEntry {
  /** The same; of an electricity meter alone. */
  authentication?: string | null;
  /** 32 hex digits. */
  encryption: string;
}

/** A supplier's file of keys: a table (CSV), or a KEM file. */
export interface KeyFile {
  /** As it came, in base64. */
  file: string;
  /** Of a KEM file. */
  password?: string | null;
}

/** A link, without its secret. */
export interface Link {
  ends: Time | null;
  id: string;
  /** `view`, `edit`, `screen`. */
  kind: string;
  made: Time;
  made_by: string;
  /** The meters that it shows; empty for all. */
  meters: string[];
  name: string;
  /** Whether it can be opened: a screen's once. */
  open: boolean;
  used: Time | null;
  /** How often it was opened. */
  uses: number;
}

/** Meters whose newest values a page does not know yet. */
export interface LiveEvent {
  at: Time;
  /** By id. */
  meters: Record<string, LiveMeter>;
  revision: number;
}

/** How a meter is doing, and what its last answer held. */
export interface LiveMeter {
  /** When it was asked last. */
  at: Time;
  last_answer: Time | null;
  /** Why the newest question has no answer. */
  reason: string | null;
  /** `ok`, `late`, `silent`, `new`. */
  state: string;
  /** How long the last answer took. */
  took_ms: number | null;
  values: Register[];
}

/** A name and its password. */
export interface Login {
  /** What the app shows, or a recovery code, where one is asked for. */
  code?: string | null;
  name: string;
  password: string;
}

/** A link that was just made. */
export interface MadeLink {
  link: Link;
  /** What stands behind the `#` of the address: `https://GATEWAY/#fyl_…`. It is shown this once. */
  secret: string;
}

/** A token that was just made. */
export interface MadeToken {
  /** What the program sends as `Authorization: Bearer …`. It is shown this once. */
  secret: string;
  token: Token;
}

/** The value that a meter is known by. */
export interface MainValue {
  at: Time;
  register: string;
  /** ASCII code. */
  unit: string;
  /** Decimal text. */
  value: string;
}

/** One medium: the meters that are part of no other of the same medium, added up. */
export interface Medium {
  comparison: Comparison | null;
  decimals: number | null;
  /** Those of the day that have begun. */
  hours: Hour[];
  live: Amount | null;
  /** The meter whose figures these are, if they are those of one alone. */
  main: string | null;
  /** `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`. */
  medium: string;
  /** All of this medium, sub-meters too. */
  meters: number;
  /** Of these, how many do not answer. */
  silent: number;
  today: MediumToday | null;
  /** ASCII code, of `hours` and `usual_hours`. */
  unit: string | null;
  /** What is usual at each local hour of such a day: 24 mantissas; `null` where nothing is usual. */
  usual_hours: (number | null)[];
}

/** What was used since local midnight. */
export interface MediumToday {
  /** Readings that were expected. */
  expected: number;
  /** Readings that came. */
  got: number;
  /** ASCII code. */
  unit: string;
  /** Decimal text. */
  value: string;
}

/** A meter in a list. */
export interface Meter {
  at: Time | null;
  bus: string;
  id: string;
  last_answer: Time | null;
  main: MainValue | null;
  /** `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`; `null` until something tells. */
  medium: string | null;
  name: string;
  /** The meter whose consumption includes this one's. */
  part_of: string | null;
  /** Why the newest question has no answer; `null` if it has. */
  reason: string | null;
  simulated: boolean;
  /** `ok`, `late`, `silent`, `new`. */
  state: string;
  today: Today | null;
}

/** What a meter said to one question. */
export interface MeterAnswer {
  at: Time | null;
  /** As they came; none if they are not kept any more. */
  telegrams: Telegram[];
}

/** A meter with everything that is known of it. */
export type MeterDetail = Meter & {
  /** On its bus. */
  address: string;
  battery: Battery | null;
  device: Device | null;
  error: Trouble | null;
  identity: Identity | null;
  poll_every_secs: number;
  /** Of its device profile. */
  profile: string | null;
  /** Those of the last answer, then those that only earlier ones held. */
  registers: Register[];
  /** What the last answer said besides: dates, texts, versions, and what cannot be read. */
  said: Said[];
  /** The last answer in hexadecimal digits; `null` for those who may not inspect. */
  telegrams: string[] | null;
  /** How long its last answer took. */
  took_ms: number | null;
};

/** One thing that happened to one register. */
export interface MeterEvent {
  /** When the new figure was read; of a correction, when the reading was, or the first of them. */
  at: Time;
  /** `rollover`, `reset`, `swap`, `unit`, `correction`. */
  kind: string;
  made: Time | null;
  new: Amount;
  new_serial: string;
  old: Amount | null;
  /** Why there was no figure; of a correction of something that was to be read. */
  old_reason: string | null;
  /** Of the device that showed the old figure; empty if it does not tell. */
  old_serial: string;
  /** How many readings were corrected at once. */
  readings: number;
  register: string;
  until: Time | null;
  /** Of a correction: who made it, when and why. */
  who: string | null;
  why: string | null;
}

/** What one meter has shown on its wire. */
export interface MeterHealth {
  answered_at: Time | null;
  /** By name: `polls`, `answered`, `retries`, `checksum_errors`, `collisions`, ... */
  counts: Record<string, number>;
  /** The device that answers, by its own address. */
  device: string | null;
  /** The device that is held back. */
  held: string | null;
  median_ms: number | null;
  meter: string;
  /** 19 of 20 answers began within this. */
  p95_ms: number | null;
  /** The longest silence that is over, in seconds. */
  silent_longest_s: number;
  silent_since: Time | null;
  /** How often it fell silent, for two questions or more. */
  silent_times: number;
  /** Since when it is watched. */
  since: Time;
  /** How many answers began within a time and not within that of the bin before. */
  times: Bin[];
}

/** What a list comes to. */
export interface MeterList {
  lines: MeterListLine[];
  /** The version of the configuration that it was compared with, or that it made. */
  version: number;
}

/** A key that would be another. */
export interface MeterListChange {
  after: string;
  before: string;
  key: string;
}

/** What a line comes to. */
export interface MeterListLine {
  /** Which keys would be others. */
  changes: MeterListChange[];
  /** Counted from 1. */
  line: number;
  name: string;
  /** What was read in another way than it stands there, in English. */
  notes: string[];
  /** `new`, `changed`, `same`, `wrong`. */
  outcome: string;
  /** What is wrong with it, in English. */
  wrong: string | null;
}

/** What went through one meter. */
export interface Metered {
  /** Readings that were expected. */
  expected: number;
  /** Readings that came. */
  got: number;
  /** In steps of the balance; `null` if nobody knows. */
  mantissa: number | null;
  /** `heat`, `electricity`, ... */
  medium: string;
  meter: string;
  name: string;
  /** Another one of these, whose amount includes this one's; `null` of a main. */
  part_of: string | null;
}

/** One thing that is wrong with a configuration. */
export interface Mistake {
  /** What was found, what is allowed, what to write instead. */
  advice: string;
  /** Counted from 1; 0 concerns the file as a whole. */
  line: number;
}

/** Bytes to and from the cloud in a calendar month, TLS and HTTP included. */
export interface MonthTraffic {
  /** What may go over the line, if there is a limit. */
  budget_bytes: number | null;
  /** Of the probes of its uptime. */
  probe_bytes: number;
  /** Of the readings. */
  sync_bytes: number;
}

/** A document that is kept, and what it is called. */
export interface NamedProof {
  name: string;
  /** In hex. */
  sha256: string;
}

/** What is said to an exclusion. */
export interface NewAnswer {
  /** `accepted`, `disputed` or `rejected`. */
  status: string;
  why: string;
}

/** What a backup is to be opened with. */
export interface NewBackup {
  /** One line of at least 12 characters. It is not kept. */
  passphrase: string;
}

/** A bus to be made or changed. */
export interface NewBus {
  baud?: number | null;
  /** 1 to 64 of `a-z`, `0-9` and `-`. */
  id: string;
  /** `mbus`, `modbus`. */
  kind: string;
  name: string;
  /** `serial:///dev/ttyUSB0`, `tcp://10.0.4.2:10001`. */
  port: string;
}

/** A certificate that the owner brings. */
export interface NewCertificate {
  /** PEM: it, and those that vouch for it, in any order. */
  certificates: string;
  /** PEM; empty if it stands with them. Only the gateway has it from then on. */
  key: string;
}

/** That notice was given. */
export interface NewClaim {
  /** When it reached the vendor. */
  at: string;
  /** What was sent; without any it came without evidence. */
  proofs?: NamedProof[];
  written: boolean;
}

/** That an entry is not in force. */
export interface NewCorrection {
  /** Its number. */
  entry: number;
  why: string;
}

/** An exclusion that is invoked. */
export interface NewExclusion {
  /** Of an agreed suspension: when it was agreed. */
  agreed_at?: string | null;
  from: string;
  /** Its name, of which there is one. */
  id: string;
  /** `planned_maintenance`, `security_maintenance`, `authority_order`, `agreed_suspension`, `outside_control`, `customer_caused`, `product_connectivity`, `battery`. */
  kind: string;
  /** Of planned maintenance: when the written notice reached the customer. */
  notice_at?: string | null;
  proofs?: NamedProof[];
  until: string;
  why: string;
}

/** A new link. */
export interface NewLink {
  /** How long it is good; until it is taken away if it is left out. */
  days?: number | null;
  /** `view`, `edit`, `screen`. */
  kind: string;
  /** The meters that it shows, by the hour; all if it is left out. */
  meters?: string[];
  /** For whom, or which screen. */
  name: string;
}

/** What `navigator.credentials.create` gave. Bytes are base64url. */
export interface NewPasskey {
  /** `attestationObject`. */
  attestation: string;
  /** `clientDataJSON`. */
  client: string;
  /** What its owner calls it. */
  name: string;
}

/** What `navigator.credentials.create` needs. Bytes are base64url. */
export interface NewPasskeyChallenge {
  /** As COSE numbers them, the one that is liked most first. */
  algorithms: number[];
  challenge: string;
  host: string;
  /** Those that are known: a device does not make a second one. */
  known: string[];
  name: string;
  /** The id of the user. */
  user: string;
}

/** The old password and the new one. */
export interface NewPassword {
  new_password: string;
  password: string;
}

/** What became of a claim. */
export interface NewProgress {
  /** The number of the invoice, or why. */
  note: string;
  /** What stands behind it. */
  proofs?: NamedProof[];
  /** `acknowledged`, `disputed` or `credited`. */
  step: string;
}

/** A new token. */
export interface NewToken {
  /** How long it is good; for ever if it is left out. */
  days?: number | null;
  /** What it is called: which program comes with it. */
  name: string;
  /** `see`, `inspect`, `ask`, `configure`: no more than you may yourself. */
  scope: string[];
}

/** Somebody new. */
export interface NewUser {
  /** The meters of a tenant. */
  meters?: string[];
  name: string;
  /** At least 12 characters. */
  password: string;
  /** `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`. */
  role: string;
}

/** Something to look at. */
export interface Notice {
  /** The bus it is about. */
  bus: string | null;
  /** `config_problem`, `wrong_profiles`, `bus_down`, `store`, `damaged`, `disk_full`, `silent`, `late`, `battery_low`, `clock`, `cloud`, `errand`, `claim_open`, `certificate_ends`, `certificate_unused`. */
  code: string;
  /** The meter it is about. */
  meter: string | null;
  params: Record<string, string>;
  since: Time | null;
}

/** What a display shows. */
export interface OnDisplay {
  register: string;
  /** As it stands there: `34 718,4`. Empty to take back what was said. */
  shown: string;
  /** Of the display, where it is another than the one read. */
  unit?: string | null;
}

/** What somebody has who was given a link. */
export interface OpenLink {
  /** What stands behind the `#` of the address. */
  link: string;
}

/** One time during which the reports could not be had. */
export interface Outage {
  /** How many of its seconds count in this month; 0 if it is too short. */
  counted_s: number;
  from: Time;
  until: Time;
}

/** How cold it is. */
export interface Outdoor {
  at: Time;
  /** `sensor`: measured at the building; `forecast`: told by a weather service, and measured by nobody. */
  source: string;
  /** ASCII code. */
  unit: string;
  /** Decimal text. */
  value: string;
}

/** How cold it was. */
export interface OutdoorHours {
  decimals: number;
  /** The mean of each hour from `start` on; `null` where it was not measured. */
  hours: (number | null)[];
  /** `sensor` or `forecast`. */
  source: string;
  /** ASCII code. */
  unit: string;
}

/** The building at a glance. */
export interface Overview {
  at: Time;
  completeness: Completeness;
  day: Day;
  /** The worst first. */
  look_at: Notice[];
  /** In the order of the dashboard; only those that have meters. */
  media: Medium[];
  outdoor: Outdoor | null;
  sentence: Sentence;
}

/** A manual, a certificate or a picture. */
export interface Paper {
  at: Time | null;
  /** `null` for a photo of the commissioning. */
  bytes: number | null;
  id: string;
  /** `pdf`, `jpeg` */
  kind: string;
  /** What people call it; empty for a photo of the commissioning. */
  name: string;
  /** It is of all meters at this place. */
  place: string | null;
  /** Who has put it here, and when; not of a photo of the commissioning, which its report has. */
  who: string | null;
}

/** What stands at a meter. */
export interface Papers {
  /** In the order in which they came; the photos of the commissioning last. */
  papers: Paper[];
  /** Where the meter is. */
  place: string | null;
}

/** A passkey. */
export interface Passkey {
  /** The name of the gateway under which it works. */
  host: string;
  id: string;
  made: Time;
  name: string;
  used: Time | null;
}

/** What `navigator.credentials.get` needs. Bytes are base64url. */
export interface PasskeyChallenge {
  challenge: string;
  host: string;
}

/** What `navigator.credentials.get` gave. Bytes are base64url. */
export interface PasskeyLogin {
  /** `authenticatorData`. */
  authenticator: string;
  /** `clientDataJSON`. */
  client: string;
  /** Of the passkey. */
  id: string;
  signature: string;
  /** `userHandle`: whose passkey it is. */
  user: string;
}

/** A physics check. */
export interface PhysicsCheck {
  /** What is wrong, or why nothing can be told; the language files have a sentence for each. */
  code: string | null;
  /** The figures of that sentence. */
  figures: FigureBody[];
  /** `good`, `open`, `wrong`. */
  verdict: string;
  /** `sensors`, `difference`, `power`, `lifetime`, `energy`, `direction`, `pulses`, `parts`. */
  what: string;
}

/** Where a meter is. */
export interface Pin {
  meter: string;
  /** In thousandths of the width, from the left. */
  x: number;
  /** In thousandths of the height, from above. */
  y: number;
}

/** Name and place of a meter. */
export interface Placing {
  name: string;
  /** The meter whose consumption includes this one's; empty for none. */
  part_of: string;
  /** In people's words; empty for none. */
  place: string;
  /** What the report is to say of it. */
  remark: string;
  tags: string[];
}

/** A picture with meters on it. */
export interface Plan {
  height: number;
  id: string;
  name: string;
  pins: Pin[];
  /** Of the picture, in pixels. */
  width: number;
}

/** What somebody read off the display. */
export interface PlateBody {
  at: Time;
  /** How many times too little or too much. */
  factor: number | null;
  /** What the meter said at that moment. */
  read: Amount;
  shown: Amount;
  /** The unit in which the two would be the same. */
  unit: string | null;
  /** `same`, `too_little`, `too_much`, `unit`, `different`. */
  verdict: string;
  who: string;
}

/** A port of this machine. */
export interface Port {
  /** The bus that has it. */
  bus: string | null;
  /** What the device calls itself; empty if it does not. */
  name: string;
  /** As it stands in the configuration. */
  port: string;
}

/** What a failure looks like on the wire. */
export interface Problem {
  /** What it is; the language files have a sentence for each. */
  code: string;
  /** And in particular. */
  detail: string;
  /** What is wrong with a configuration; empty for every other problem. */
  mistakes: Mistake[];
  /** What that sentence needs. */
  params: Record<string, string>;
  /** The HTTP status. */
  status: number;
  /** The same in English, in general. */
  title: string;
}

/** The modules of a QR code, without the quiet zone. */
export interface Qr {
  /** A row each, `1` for a dark module. */
  rows: string[];
}

/** What the code says. */
export interface QrText {
  text: string;
}

/** A quarter hour of all meters. */
export interface Quarter {
  expected: number;
  from_memory: number;
  got: number;
  /** The rest by cause, the most frequent first. */
  missing: Cause[];
  start: Time;
}

/** What a register showed at one instant, or why nobody knows. */
export interface Reading {
  at: Time;
  /** `live`, `meter_memory`, `correction`, `import`, `simulated`. */
  origin: string;
  /** `good`, `implausible`, `stale`, `time_estimated`. */
  quality: string;
  /** Why there is no value. */
  reason: string | null;
  /** Of the gateway; it changes with the device. */
  series: number;
  /** ASCII code. */
  unit: string;
  /** Decimal text. */
  value: string | null;
}

/** A page of readings. */
export interface Readings {
  /** The cursor of the next page; `null` on the last. */
  next: string | null;
  /** The newest first. */
  readings: Reading[];
}

/** Codes that stand in for the app, once each. They are shown this once. */
export interface RecoveryCodes {
  codes: string[];
}

/** One register and what it showed last. */
export interface Register {
  at: Time;
  decimals: number | null;
  /** `counter`, `gauge`, `flag`. */
  kind: string;
  /** `live`, `meter_memory`, `correction`, `import`, `simulated`, `forecast`. */
  origin: string;
  /** `good`, `implausible`, `stale`, `time_estimated`. */
  quality: string;
  /** Why there is no value. */
  reason: string | null;
  register: string;
  /** ASCII code; `null` until a value tells. */
  unit: string | null;
  /** Decimal text. */
  value: string | null;
}

/** What a register is called, and what its bits mean. */
export interface RegisterWords {
  /** Of those bits whose meaning is known. */
  bits: Bit[];
  name: Words | null;
  register: string;
}

/** Where a backup that comes back stands. */
export interface Restore {
  /** What was here before the last restore is still there and can come back. */
  before: boolean;
  /** Of one that is being taken or fetched: how much of it is here. */
  bytes: number | null;
  held: HeldBackup | null;
  /** Of one that is being fetched from a stick: how much there will be. */
  of: number | null;
  /** `none`, `taking`, `fetching`, `looking`, `held`, `failed`, `going`. */
  state: string;
  /** Why it cannot be restored, as one English sentence. */
  why: string | null;
}

/** Which backup is fetched. */
export interface RestoreFromStick {
  /** A name among those on it. */
  file: string;
  /** As the gateway tells of it. */
  stick: string;
}

/** What the backup is opened with. */
export interface RestoreLook {
  /** With which it was made. It is not kept. */
  passphrase: string;
}

/** One period. */
export interface Row {
  end: Time;
  /** Readings that were expected. */
  expected: number;
  /** Readings out of the meter's memory that it is told from; the one right at its end, too. */
  from_memory: number;
  /** Readings that came. */
  got: number;
  /** Of a counter: what was used, in steps of the run. */
  mantissa: number | null;
  /** The most. */
  max: number | null;
  /** The mean, rounded to the run's steps. */
  mean: number | null;
  /** Of everything else, and of a counter's `drawn` rows: the least that it showed. */
  min: number | null;
  /** It has an even share of what was used while nobody read the meter: when, nobody knows. */
  spread_unknown: boolean;
  start: Time;
}

/** Rows that count the same steps: 3 with 3 decimals in GJ are 0.003 GJ. JavaScript is exact up to fifteen digits, more than a meter shows. */
export interface Run {
  decimals: number;
  rows: Row[];
  /** Of the gateway; it changes with the device. */
  series: number;
  /** ASCII code. */
  unit: string;
}

/** Something in a meter's answer that is no number. */
export interface Said {
  /** `value` for what the meter said: a date, a text, a version, bytes in hex. Of the others the language files have a sentence for each. */
  kind: string;
  /** Which record of it, from 0; 0 for what is about the telegram as a whole. */
  record: number;
  /** In which telegram of the answer, from 0. */
  telegram: number;
  /** What the meter said, if that is it; else the sentence in English, with its details. */
  text: string;
  /** The register's name: `date_s1`; empty where it has none. */
  what: string;
}

/** The version that was made. */
export interface Saved {
  version: number;
}

/** The scan of a bus that is under way or was the last; what it has found is told with the bus. */
export interface Scan {
  /** How many addresses or selections have been asked. */
  asked: number;
  began: Time;
  ended: Time | null;
  /** How many meters it has found. */
  found: number;
  /** `primary`, `secondary`, `both`, `units`. */
  kind: string;
  /** `primary`, `secondary`, `units`: by which addresses it looks now. */
  looking: string;
  /** How much has been gone through, in thousandths. */
  permille: number;
  /** What is asked next: `17`, `67FFFFFF`; `null` at the end. */
  place: string | null;
  /** How many seconds it takes to the end if it goes on as until now. */
  rest_s: number | null;
  /** At how many places several meters answer that cannot be told apart. */
  several: number;
  /** `running`, `paused`, `done`, `cancelled`, `failed`. */
  state: string;
  trouble: Trouble | null;
}

/** What is wanted of a scan. */
export interface ScanRequest {
  /** With `start`: `primary`, `secondary`, `both`; on a Modbus `units`. */
  kind?: string | null;
  /** `start`, `pause`, `resume`, `cancel`. */
  order: string;
}

/** What a person would say first. */
export interface Sentence {
  /** `commissioning`, `no_meters`, `starting`, `all_well`, `one_silent`, `some_silent`, `all_silent`. */
  code: string;
  params: Record<string, string>;
}

/** Who is logged in. */
export interface Session {
  /** What they may: `see`, `inspect`, `ask`, `configure`, `administer`. */
  can: string[];
  /** Whether the gateway has an owner. If not, the page is the first run. */
  claimed: boolean;
  /** SHA-256 of the certificate, to be compared with the label. */
  fingerprint: string;
  /** Whether changes are taken without another login. */
  fresh: boolean;
  user: SessionUser | null;
  /** Of the program. */
  version: string;
  /** How they got in: `login`, a link as `view`, `edit`, `screen`, a `token`, or `nothing`. */
  via: string;
}

/** A browser that somebody is logged in with. */
export interface SessionRow {
  /** What the browser calls itself. */
  agent: string;
  /** The address that it came from. */
  from: string;
  /** Whether it is the one that asks. */
  here: boolean;
  id: string;
  /** Since when. */
  made: Time;
  /** When it was used last, give or take five minutes. */
  used: Time;
}

/** A user as they see themselves. */
export interface SessionUser {
  id: string;
  name: string;
  /** `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`. */
  role: string;
}

/** The line that the days follow, over those of which use and temperature are known. */
export interface Signature {
  /** A day's use whatever the weather, in thousandths of a step. */
  base: number;
  /** How many days it goes through. */
  days: number;
  /** One standard deviation of the days from the line, in thousandths of a step. */
  deviation: number;
  /** R², in parts of ten thousand. */
  explained: number;
  /** `cold` or `heat`: what the use grows with beyond the knee. */
  grows_with: string;
  /** In tenths of a degree Celsius; `null` without a slope. */
  knee: number | null;
  /** CV(RMSE), in parts of ten thousand; `null` if nothing was used. */
  scatter: number | null;
  /** What each degree beyond the knee adds to it, in thousandths of a step; 0 where the use does not follow the temperature. */
  slope: number;
}

/** A signature under the report. */
export interface SignedBody {
  at: Time;
  /** Whether something was changed since, so that the name does not stand under it. */
  changed: boolean;
  name: string;
}

/** Who takes responsibility for the report. */
export interface Signing {
  /** In full, as it stands under the report. */
  name: string;
  /** The lines of the signature: each through points on a field 1000 wide and 400 high. */
  strokes: number[][][];
}

/** What is installed. */
export interface Site {
  /** Only for those who may inspect, else empty. */
  buses: SiteBus[];
  /** No configuration has ever loaded: nothing is read. */
  commissioning: boolean;
  config_problem: ConfigProblem | null;
  gateway: string;
  /** `null` while the gateway is being commissioned. */
  id: string | null;
  /** Those that the visitor sees. */
  meters: SiteMeter[];
  name: string;
  place: string | null;
  /** IANA: `Europe/Oslo`. */
  time_zone: string;
  /** Of the configuration in force. */
  version: number;
  /** What is wrong with device profiles of the folder. Only for those who may inspect, else empty. */
  wrong_profiles: WrongProfile[];
}

/** A bus of the configuration. */
export interface SiteBus {
  id: string;
  /** `mbus`, `modbus`. */
  kind: string;
  name: string;
  port: string;
}

/** A meter of the configuration. */
export interface SiteMeter {
  address: string;
  bus: string;
  id: string;
  /** `heat`, `electricity`, `cooling`, `water`, `hot_water`, `gas`, `solar`, `climate`, `other`. */
  medium: string | null;
  name: string;
  /** The meter whose consumption includes this one's. */
  part_of: string | null;
  poll_every_secs: number;
  profile: string | null;
  simulated: boolean;
}

/** The promise of uptime. */
export interface Sla {
  agreed: Agreement | null;
  contract: SlaContract | null;
  /** All that are in force, the latest first. */
  exclusions: SlaExclusion[];
  /** Those that have begun and of which the ledger says something, in order. */
  months: SlaMonth[];
  year: number;
}

/** The two books of a month. */
export interface SlaBooks {
  found: SlaDifference | null;
  /** The vendor's public key, for `fyrhus sla verify --trust`; `null` while its book is empty. */
  key: string | null;
  signed: SlaSigned | null;
  /** Why it does not countersign any more, in English; `null` if it does. */
  wrong: string | null;
}

/** How attempts failed. */
export interface SlaCause {
  attempts: number;
  /** `dns`, `tcp`, `tls_foreign`, `tls_own`, `tls`, `no_answer`, `status`, `wrong_data`. */
  failure: string;
  /** The HTTP status, where there was one. */
  status: number | null;
}

/** What is agreed of a service line. */
export interface SlaContract {
  /** The fee of a year, net of VAT: `12000.00` */
  annual: string;
  /** The limit of all liability in twelve months; `null` if none is agreed as a sum. */
  cap: string | null;
  claim_days: number;
  /** `NOK` */
  currency: string;
  customer: string;
  /** The first day that is not covered any more; `null` if no end is agreed. */
  end: string | null;
  line: string;
  notice_days: number;
  /** The sites that have this one fee; empty for this one alone. */
  sites: string[];
  /** The first covered day; `null` for ever before. */
  start: string | null;
  tiers: SlaTier[];
  time_zone: string;
  /** `25.0`, in percent. */
  vat: string;
  vendor: string;
}

/** What two books of one month differ in. */
export interface SlaDifference {
  /** What comes of the seconds that both saw down. */
  agreed: SlaView;
  /** Seconds that both saw down. */
  both_s: number;
  customer: SlaView;
  /** In order of time; what is within half a minute of each other is one. */
  incidents: SlaIncident[];
  only_customer_s: number;
  only_vendor_s: number;
  /** Seconds that nobody saw down and one of them does not know. */
  unknown_s: number;
  vendor: SlaView;
}

/** What came of an exclusion. */
export interface SlaExcluded {
  effective_s: number;
  id: string;
  kind: string;
  /** `ok`, or why it does not act: `rejected`, `no_notice`, `not_written`, `late_notice`, `not_agreed`, `disputed`. */
  reason: string;
}

/** An exclusion, as it was invoked and answered. */
export interface SlaExclusion {
  answer: string | null;
  answered_by: string | null;
  /** The number of the entry. */
  entry: number;
  from: Time;
  id: string;
  /** `planned_maintenance`, `security_maintenance`, `authority_order`, `agreed_suspension`, `outside_control`, `customer_caused`, `product_connectivity`, `battery`. */
  kind: string;
  proofs: SlaProof[];
  /** `accepted`, `disputed`, `rejected`; `null` if nobody has answered. */
  status: string | null;
  until: Time;
  who: string;
  why: string;
}

/** What was down in one book, or in both. */
export interface SlaIncident {
  customer: SlaSpan | null;
  vendor: SlaSpan | null;
}

/** A month in figures. */
export interface SlaMonth {
  /** `no_breach`, `not_notified`, `not_written`, `premature`, `late`, `no_evidence`, `ok`. */
  claim: string;
  /** The credit if it is claimed in time and with evidence: `100.00` */
  claimable: string;
  /** Counted downtime. */
  counted_s: number;
  /** `NOK` */
  currency: string;
  /** The last day on which notice can be given; `null` if there is no breach. */
  deadline: string | null;
  /** What the percentage is of, in seconds. */
  denominator_s: number;
  /** What is due of it. */
  due: string;
  /** More than 5 % of it is unknown. */
  incomplete: boolean;
  /** `2026-11` */
  month: string;
  /** `99.9712`: four decimals, cut, not rounded. */
  percent: string;
  /** It is not over, or not all of it is in the ledger. */
  provisional: boolean;
  /** The last day under every reading of the contract. */
  safe_deadline: string | null;
  /** `claimed`, `acknowledged`, `disputed`, `credited`; `null` if nobody gave notice. */
  stage: string | null;
  /** The credit in percent of the month's fee. */
  tier: number;
  /** If every exclusion that is valid in form were accepted. */
  tier_if_accepted: number;
  /** If all unknown time had been down. */
  tier_if_unknown_down: number;
  /** What was told of it, each time, the latest last. */
  told: SlaTold[];
  unknown_s: number;
}

/** An outage, and what of it counts. */
export interface SlaOutage {
  /** How the attempts failed, the most frequent first. */
  causes: SlaCause[];
  counted_s: number;
  excluded_s: number;
  from: Time;
  short_s: number;
  until: Time;
}

/** A document that stands behind an entry. */
export interface SlaProof {
  name: string;
  /** In hex. */
  sha256: string;
}

/** What was said of a claim. */
export interface SlaSaid {
  at: Time;
  /** The number of the entry; `null` of the notice itself. */
  entry: number | null;
  /** The invoice, or why. */
  note: string;
  proofs: SlaProof[];
  /** `claimed`, `acknowledged`, `disputed`, `credited`. */
  step: string;
  who: string;
}

/** How far the vendor has countersigned the ledger. */
export interface SlaSigned {
  at: Time;
  /** The last entry that both have signed. */
  entry: number;
  /** The last entry that there is. */
  of: number;
}

/** From a second, which is in it, to one that is not. */
export interface SlaSpan {
  from: Time;
  until: Time;
}

/** The statement of a month. */
export interface SlaStatement {
  /** What was invoked for it and what came of that, by name. */
  exclusions: SlaExcluded[];
  /** The fee of the period, to the nearest hundredth: `1000.00` */
  fee: string;
  /** Its figures. */
  figures: SlaMonth;
  /** The hash of everything up to that entry, in hex. */
  hash: string;
  lost_at: Time | null;
  outages: SlaOutage[];
  /** Whether that is down by the contract. */
  refused_counts: boolean;
  /** For how many seconds new data was refused. */
  refused_s: number;
  /** What was said of the claim, in order; empty if nobody gave notice. */
  said: SlaSaid[];
  /** The last entry of the ledger that it follows from. */
  through: number;
  /** Unknown time by its reason, the longest first. */
  unknown: SlaUnknown[];
}

/** What is credited below an uptime. */
export interface SlaTier {
  /** `99.50`, in percent. */
  below: string;
  /** In percent of the month's fee. */
  credit: number;
}

/** What was told of a month at some time. */
export interface SlaTold {
  at: Time;
  claimable: string;
  counted_s: number;
  /** The number of the entry. */
  entry: number;
  tier: number;
}

/** Unknown time of one reason. */
export interface SlaUnknown {
  /** `gap`, `clock`, `link`, `ambiguous`, `rate_limited`, `refused`, `down_single`. */
  code: string;
  seconds: number;
}

/** What one view of a month comes to. */
export interface SlaView {
  claimable: string;
  counted_s: number;
  percent: string;
  tier: number;
}

/** Seconds in a row that were not up. */
export interface Span {
  /** `down_proven`, `down_single`, or why nobody knows. */
  code: string;
  from: Time;
  until: Time;
}

/** Which readings have another figure by it. */
export interface SpanCorrection {
  first: Time | null;
  last: Time | null;
  /** Whether it is done, or was a preview. */
  made: boolean;
  /** How many. */
  readings: number;
}

/** What holds instead of the readings of a span. Without `to` and `by` it is what was read. */
export interface SpanCorrectionRequest {
  /** Each reading is more by this; less with a minus. */
  by?: string | null;
  from: string;
  /** Nothing is done: it is said which readings it would be. */
  preview?: boolean;
  /** `energy`, `flow_temperature`. */
  register: string;
  /** Each reading shows this: `21.5`, or with its unit. */
  to?: string | null;
  /** The instant that is not in it any more. */
  until: string;
  /** For whoever asks later; 500 bytes at most. */
  why?: string;
}

/** How the gateway is doing. */
export interface Status {
  buses: Bus[];
  /** `untrusted`, `floor`, `holdover`, `synced`. */
  clock: string;
  /** SHA-256 of the certificate. */
  fingerprint: string;
  started_at: Time;
  store: Store;
  sync: Sync | null;
  version: string;
}

/** The step to go to. */
export interface Step {
  /** `claim`, `site`, `buses`, `scan`, `meters`, `plates`, `checks`, `cloud`, `report`. */
  step: string;
}

/** One of them. */
export interface Stick {
  /** What is on it, the newest first. */
  backups: BackupOnStick[];
  /** In bytes; 0 if nothing can be written. */
  free: number;
  /** As the machine has named it. */
  name: string;
}

/** The USB sticks at the gateway. */
export interface Sticks {
  /** Of one that is being made: how many bytes have been written and read back. */
  bytes: number | null;
  /** Of one that is made: under which name. */
  file: string | null;
  /** Of how many. */
  of: number | null;
  /** `none`, `copying`, `copied`: it can be pulled out; `gone`, `room`, `differs`, `failed`. */
  state: string;
  /** Of a copy: to which stick. */
  stick: string | null;
  /** Those that are put in. */
  sticks: Stick[];
  /** Why it failed otherwise, as one English sentence. */
  why: string | null;
}

/** The store and its disk. */
export interface Store {
  /** Bytes. */
  disk_free: number;
  /** Bytes. */
  disk_size: number;
  /** Readings stored since the daemon started. */
  stored: number;
  /** In English; `null` if all is well. */
  trouble: string | null;
  /** Readings on the disk that get their time once the clock is set. */
  waiting: number;
}

/** A meter that is heard and not in the configuration. */
export interface Stranger {
  /** When it was heard last. */
  at: Time;
  /** How often it was heard since the daemon started. */
  count: number;
  /** Its maker's three letters; empty if it tells none. */
  manufacturer: string;
  medium: string | null;
  /** By which it would be configured: `67001122KAM1B16`, a topic. */
  name: string;
  /** How strong it came in last, if the receiver tells. */
  rssi_dbm: number | null;
  /** Whether it takes a key that is not here to read it. */
  sealed: boolean;
}

/** Where the sync to the cloud stands. */
export interface Sync {
  /** The cloud has confirmed every reading up to this number. */
  acked: number;
  /** How many readings are still to be confirmed. */
  backlog: number;
  /** Whether the gateway has a certificate of that cloud. */
  enrolled: boolean;
  /** The newest reading has this number. */
  head: number;
  last_contact: Time | null;
  /** In English; `null` once it works again. */
  last_error: string | null;
  month: MonthTraffic | null;
  /** Readings that the cloud could not read and that were put aside, since the start. */
  parked: number;
  saves_until: Time | null;
  url: string;
}

/** Meters to be taken into the configuration. */
export interface Taken {
  /** The id of the bus that was scanned. */
  bus: string;
  meters: TakenMeter[];
}

/** One of them. */
export interface TakenMeter {
  /** As the scan tells it. */
  address: string;
  /** Where it does not tell the right one by itself. */
  medium?: string | null;
  /** What people are going to call it. */
  name: string;
}

/** Bytes as they came. */
export interface Telegram {
  /** Two digits a byte. */
  hex: string;
  /** What they mean, from the first byte to the last; empty of what is no M-Bus. */
  pieces: TelegramPiece[];
}

/** Some bytes that mean one thing. */
export interface TelegramPiece {
  /** The bytes are wrong. */
  fault: boolean;
  /** `link`, `ell`, `afl`, `header`, `record`, `application`, `unread` */
  layer: string;
  length: number;
  /** What they say, in English. */
  meaning: string;
  /** Of the first of them, counted from the first of the telegram. */
  offset: number;
  /** Which record, counted from 0. */
  record: number | null;
}

/** How the test reading went. */
export interface TestBody {
  answered: boolean;
  at: Time;
  took_ms: number | null;
}

/** An instant: RFC 3339, UTC, with `Z`. */
export type Time = string;

/** What a meter has counted since local midnight. */
export interface Today {
  /** Readings that were expected. */
  expected: number;
  /** Readings that came. */
  got: number;
  register: string;
  /** ASCII code. */
  unit: string;
  /** Decimal text. */
  value: string;
}

/** A token, without its secret. */
export interface Token {
  ends: Time | null;
  id: string;
  made: Time;
  name: string;
  scope: string[];
  /** When it was used last, give or take five minutes; at first when it was made. */
  used: Time;
}

/** A port to be tried. */
export interface Trial {
  port: string;
}

/** What was heard at a port. */
export interface Tried {
  /** The speed to choose: at which a meter answered, else at which something did. */
  baud: number | null;
  tries: TryBody[];
}

/** Why a meter could not be read, or a bus not be used. */
export interface Trouble {
  /** What it is; the language files have a sentence for each. */
  code: string;
  /** What that sentence needs. */
  params: Record<string, string>;
  /** All of it in English. */
  text: string;
}

/** What was heard at one speed. */
export interface TryBody {
  baud: number;
  /** `nothing`, `noise`, `meter`. */
  heard: string;
}

/** Unknown time by its reason. */
export interface Unknown {
  /** `gap`, `clock`, `link`, `ambiguous`, `rate_limited`, `refused`. */
  code: string;
  seconds: number;
}

/** A month of the cloud's uptime. */
export interface Uptime {
  /** Those that have begun. */
  days: UptimeDay[];
  /** Seconds of the month by the contract, of which the percentage is. */
  denominator_s: number;
  /** Seconds that count as down. */
  down_s: number;
  end: Time;
  /** More than 5 % of the month is unknown. */
  incomplete: boolean;
  /** What is promised, and what is credited below that: by the contract, or as is usual. */
  limits: UptimeLimit[];
  /** When measuring began in this month. What was before it is neither up nor down: the gateway had not joined yet. */
  measured_from: Time;
  /** `2026-11` */
  month: string;
  outages: Outage[];
  /** `99.9712`: four decimals, cut, not rounded. */
  percent: string;
  /** It has not ended. */
  running: boolean;
  /** Seconds in outages that are too short to count. */
  short_s: number;
  /** Whatever was not up, in order of time. */
  spans: Span[];
  start: Time;
  /** The credit in percent of the month's fee, 0 while the promise is kept. */
  tier: number;
  /** The credit if all unknown time had been down. */
  tier_if_unknown_down: number;
  /** The longest first. */
  unknown: Unknown[];
  /** Seconds of which nobody knows, and which count as up. */
  unknown_s: number;
}

/** A civil day of the month. */
export interface UptimeDay {
  /** `2026-11-01` */
  date: string;
  /** Seconds that count as down. */
  down_s: number;
  end: Time;
  /** Seconds in outages that are too short to count. */
  short_s: number;
  start: Time;
  unknown_s: number;
}

/** An uptime, and what is credited below it. */
export interface UptimeLimit {
  /** So many seconds of the month may be down. */
  allows_s: number;
  /** `99.5`, in percent. */
  below: string;
  /** The credit in percent of the month's fee. */
  credit: number;
}

/** Somebody who can log in. */
export interface User {
  /** Whether a code of an app is asked for. */
  app: boolean;
  id: string;
  /** When they were let in. */
  made: Time;
  /** The meters of a tenant; empty for every other role. */
  meters: string[];
  name: string;
  passkeys: number;
  /** `owner`, `operator`, `installer`, `viewer`, `tenant`, `wall`. */
  role: string;
  /** With how many browsers they are logged in. */
  sessions: number;
  tokens: number;
  used: Time | null;
}

/** A version of the configuration. */
export interface Version {
  at: Time;
  number: number;
  who: string;
  /** In English, as the program or the person said it. */
  why: string;
}

/** Whether a version is what was saved. */
export interface VersionStanding {
  number: number;
  /** `signed` by the gateway; `earlier`: older than signatures, and as it was when these began; `broken`. */
  stands: string;
}

/** How somebody gets in beside the password. */
export interface Ways {
  /** Whether an app's code is asked for. */
  app: boolean;
  /** The name under which the gateway was asked. */
  host: string;
  /** Why no passkey works under it: `address` for an IP address, `plain` without TLS; `null` if one does. */
  no_passkeys: string | null;
  passkeys: Passkey[];
  /** How many recovery codes are left. */
  recovery: number;
}

/** A text in the languages of the pages. */
export interface Words {
  da: string;
  en: string;
  nb: string;
}

/** A new entry of the ledger. */
export interface Written {
  /** Its number. */
  entry: number;
}

/** One thing that is wrong with a device profile that somebody has added: it is not used. */
export interface WrongProfile {
  advice: string;
  file: string;
  line: number;
}
