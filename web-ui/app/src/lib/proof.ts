// Documents that stand behind entries of the ledger.
import { Problem, send } from './api';

/** Has the server keep a file, at `path`; what an entry names it by. */
export async function keepProof(
  path: string,
  file: File,
): Promise<{ name: string; sha256: string }> {
  const response = await send(path, {
    method: 'POST',
    text: { type: 'application/octet-stream', body: file },
  });
  const { sha256 } = (await response.json()) as { sha256?: string };
  if (!sha256) throw new Problem(response.status, 'unknown');
  return { name: file.name, sha256 };
}
