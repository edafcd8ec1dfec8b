// What somebody may be who logs in at the portfolio. There are no tenants here.
import type { Role } from '../lib/wire';

export const ROLES: readonly Role[] = ['owner', 'operator', 'installer', 'viewer'];
