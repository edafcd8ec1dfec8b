// What the gateway's API answers: the generated shapes, with the codes that are a closed set as such.
import type * as gen from '../lib/api.gen';
import type { Medium } from '../lib/medium';
import type { Mantissa } from '../lib/number';
import type { Ability, MeterRow, MeterState, RegisterValue, Role, With } from '../lib/wire';

export type Session = With<
  gen.Session,
  { can: Ability[]; user: With<gen.SessionUser, { role: Role }> | null }
>;

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

export type User = With<gen.User, { role: Role }>;

export type LiveEntry = With<gen.LiveMeter, { state: MeterState; values: RegisterValue[] }>;

export type LiveEvent = With<gen.LiveEvent, { meters: Record<string, LiveEntry> }>;

export type SlaMonth = With<
  gen.SlaMonth,
  { stage: 'claimed' | 'acknowledged' | 'disputed' | 'credited' | null }
>;

export type Sla = With<gen.Sla, { months: SlaMonth[] }>;

export type SlaStatement = With<gen.SlaStatement, { figures: SlaMonth }>;

export type {
  Cloud,
  Finding,
  FoundMeter,
  ImportedKeys,
  Key,
  MeterHealth,
  Notice,
  Site,
  SlaExclusion,
  Stranger,
  Sync,
  Uptime,
  UptimeDay,
} from '../lib/api.gen';
