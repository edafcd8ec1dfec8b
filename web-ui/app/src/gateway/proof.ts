// Documents that stand behind entries of the ledger.
import { Problem, send } from '../lib/api';

/** Has the gateway keep a file; what an entry names it by. */
export async function keepProof(file: File): Promise<{ name: string; sha256: string }> {
  const response = await send('/sla/proofs', {
    method: 'POST',
    text: { type: 'application/octet-stream', body: file },
  });
  const { sha256 } = (await response.json()) as { sha256?: string };
  if (!sha256) throw new Problem(response.status, 'unknown');
  return { name: file.name, sha256 };
}
