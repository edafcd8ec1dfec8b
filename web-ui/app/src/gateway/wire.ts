// What the gateway's API answers: the generated shapes, with the codes that are a closed set as such.
import type * as gen from '../lib/api.gen';
import type { Medium } from '../lib/medium';
import type { Mantissa } from '../lib/number';
import type { Ability, MeterRow, MeterState, RegisterValue, Role, With } from '../lib/wire';

export type Session = With<
  gen.Session,
  {
    can: Ability[];
    user: With<gen.SessionUser, { role: Role }> | null;
    via: 'login' | LinkKind | 'token' | 'nothing';
  }
>;

export type LinkKind = 'view' | 'edit' | 'screen';

export type Link = With<gen.Link, { kind: LinkKind }>;

export type MadeLink = With<gen.MadeLink, { link: Link }>;

export type Ways = With<gen.Ways, { no_passkeys: 'address' | 'plain' | null }>;

type Column = Mantissa | null;

export type BoardRow = With<
  gen.Medium,
  {
    medium: Medium;
    comparison: With<gen.Comparison, { kind: 'above' | 'below' | 'as_usual' }> | null;
    hours: With<gen.Hour, { mantissa: Column }>[];
    usual_hours: Column[];
  }
>;

export type Overview = With<gen.Overview, { media: BoardRow[] }>;

export type Flow = With<
  gen.Flow,
  {
    balances: With<
      gen.Balance,
      { meters: With<gen.Metered, { medium: Medium; mantissa: Column }>[] }
    >[];
  }
>;

export type Analysis = With<
  gen.Analysis,
  {
    hours: Column[];
    outdoor: With<gen.OutdoorHours, { hours: Column[] }> | null;
    days: With<gen.AnalysedDay, { used: Column; outdoor: Column }>[];
    cooled: With<gen.Cooled, { flow: Column[]; back: Column[]; volume: Column[] }> | null;
  }
>;

export type GatewayMeterRow = MeterRow & Pick<gen.Meter, 'bus' | 'part_of' | 'today'>;

export type Said = With<gen.Said, { kind: gen.SaidKind }>;

export type Meter = With<
  gen.MeterDetail,
  GatewayMeterRow & { registers: RegisterValue[]; said: Said[] }
>;

export type Scan = With<
  gen.Scan,
  {
    state: 'running' | 'paused' | 'done' | 'cancelled' | 'failed';
    looking: 'primary' | 'secondary';
  }
>;

export type BusStatus = With<gen.Bus, { state: 'up' | 'down' | 'starting'; scan: Scan | null }>;

export type BusDetail = gen.BusDetail;

export type Status = With<gen.Status, { buses: BusStatus[] }>;

export type LiveEntry = With<gen.LiveMeter, { state: MeterState; values: RegisterValue[] }>;

export type LiveEvent = With<gen.LiveEvent, { meters: Record<string, LiveEntry> }>;

export type SlaMonth = With<
  gen.SlaMonth,
  { stage: 'claimed' | 'acknowledged' | 'disputed' | 'credited' | null }
>;

export type Sla = With<gen.Sla, { months: SlaMonth[] }>;

export type SlaStatement = With<gen.SlaStatement, { figures: SlaMonth }>;

export type PlateCheck = With<
  gen.PlateBody,
  { verdict: 'same' | 'too_little' | 'too_much' | 'unit' | 'different' }
>;

export type Displayed = With<
  gen.Displayed,
  { kind: 'counter' | 'gauge' | 'flag'; plate: PlateCheck | null }
>;

export type PhysicsCheck = With<gen.PhysicsCheck, { verdict: 'good' | 'open' | 'wrong' }>;

export type CommissionedMeter = With<
  gen.CommissionedMeter,
  { state: MeterState; values: Displayed[]; checks: PhysicsCheck[] }
>;

export type Commission = With<gen.Commission, { meters: CommissionedMeter[] }>;

export type MeterList = With<
  gen.MeterList,
  { lines: With<gen.MeterListLine, { outcome: 'new' | 'changed' | 'same' | 'wrong' }>[] }
>;

export type Tried = With<
  gen.Tried,
  { tries: With<gen.TryBody, { heard: 'nothing' | 'noise' | 'meter' }>[] }
>;

export type {
  AppSecret,
  AuditEntry,
  Agreement,
  Cloud,
  Finding,
  FoundMeter,
  Happened,
  HappenedEvent,
  ImportedKeys,
  Key,
  MeterHealth,
  Notice,
  Passkey,
  Pin,
  Plan,
  RecoveryCodes,
  SessionRow,
  SlaOutage,
  Port,
  Site,
  SlaBooks,
  SlaExclusion,
  Stranger,
  Sync,
  Uptime,
  UptimeDay,
  Version,
} from '../lib/api.gen';

export type HistoryProof = With<
  gen.HistoryProof,
  { versions: With<gen.VersionStanding, { stands: 'signed' | 'earlier' | 'broken' }>[] }
>;

export type MeterAnswer = gen.MeterAnswer;

export type Paper = With<gen.Paper, { kind: 'pdf' | 'jpeg' }>;
export type Papers = With<gen.Papers, { papers: Paper[] }>;
export type Certificate = With<gen.Certificate, { kind: 'own' | 'brought' | 'uploaded' }>;
export type Restore = With<
  gen.Restore,
  { state: 'none' | 'taking' | 'fetching' | 'looking' | 'held' | 'failed' | 'going' }
>;
export type Sticks = With<
  gen.Sticks,
  { state: 'none' | 'copying' | 'copied' | 'gone' | 'room' | 'differs' | 'failed' }
>;
export type Backup = With<gen.Backup, { state: 'none' | 'making' | 'ready' | 'failed' }>;
