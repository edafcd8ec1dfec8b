// Asks the server, and tells in one kind of error what went wrong.
//
// JSON integers beyond 2^53, which a chart's mantissas can be, are read from the source text as BigInt.
import type { Mistake } from './api.gen';
import type { Params } from './text.svelte';

/** A failure with the server's code, or one of ours: `unreachable` if nothing answered. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly params: Params = {},
    readonly detail = '',
    readonly mistakes: Mistake[] = [],
  ) {
    super(detail || code);
  }
}

interface Request {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  json?: unknown;
  /** A body that is not JSON: a text, or a file as it is. */
  text?: { type: string; body: string | Blob };
  headers?: Record<string, string>;
}

/**
 * The servers answer within 30 s, if only to say that it takes too long. A server without power or a
 * pulled cable never answers, and a browser would wait for minutes.
 */
const PATIENCE_MS = 35_000;

interface Watch {
  /** The session is gone. */
  loggedOut: () => void;
  /** The server was reached, or not. */
  contact: (reached: boolean) => void;
  /** The login is too old for this act: asks for the password; whether it was given. */
  loginAgain: () => Promise<boolean>;
}

let watch: Watch = {
  loggedOut: () => undefined,
  contact: () => undefined,
  loginAgain: () => Promise.resolve(false),
};

/** Who is told of what every request may meet. */
export function setWatch(next: Watch): void {
  watch = next;
}

/** The JSON that `path` under /api/v1 answers. */
export async function ask<T>(path: string, request: Request = {}): Promise<T> {
  const response = await send(path, request);
  if (response.status === 204) return undefined as T;
  return parse(await response.text()) as T;
}

/** The answer itself, for what is not JSON. */
export async function send(path: string, request: Request = {}): Promise<Response> {
  const response = await attempt(path, request);
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.code === 'not_logged_in') watch.loggedOut();
  if (problem.code === 'login_again' && (await watch.loginAgain())) return send(path, request);
  throw problem;
}

async function attempt(path: string, request: Request): Promise<Response> {
  const { method = 'GET', json, text, headers = {} } = request;
  const all: Record<string, string> = { accept: 'application/json', ...headers };
  if (json !== undefined) all['content-type'] = 'application/json';
  if (text) all['content-type'] = text.type;
  const body = json === undefined ? (text?.body ?? null) : JSON.stringify(json);
  try {
    const response = await fetch(`/api/v1${path}`, {
      method,
      headers: all,
      body,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    watch.contact(true);
    return response;
  } catch {
    watch.contact(false);
    throw new Problem(0, 'unreachable');
  }
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    const { code = 'unknown', params = {}, detail = '', mistakes = [] } = body;
    return new Problem(response.status, code, params, detail, mistakes);
  } catch {
    return new Problem(response.status, 'unknown', { status: response.status });
  }
}

/** JSON with exact integers. Exported for its tests. */
export function parse(text: string): unknown {
  type Source = { source?: string };
  const exact = (_key: string, value: unknown, context?: Source) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value) || !context?.source) return value;
    return /^-?\d+$/.test(context.source) ? BigInt(context.source) : value;
  };
  // TypeScript does not know the reviver's third argument yet.
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown);
}
