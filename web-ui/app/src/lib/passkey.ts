// Passkeys: what the browser's own dialogue needs and gives, in the form of the API.
import { ask, Problem } from './api';
import type { NewPasskeyChallenge, PasskeyChallenge } from './api.gen';

const bytesOf = (text: string) =>
  Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (it) => it.charCodeAt(0));

function textOf(bytes: ArrayBuffer): string {
  const letters = Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join('');
  return btoa(letters).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** Has a device make a passkey, and the server keep it. */
export async function addPasskey(name: string): Promise<void> {
  const wanted = await ask<NewPasskeyChallenge>('/login/passkeys/challenge', { method: 'POST' });
  const made = await told(() =>
    navigator.credentials.create({
      publicKey: {
        challenge: bytesOf(wanted.challenge),
        rp: { id: wanted.host, name: 'Fyrhus' },
        user: { id: bytesOf(wanted.user), name: wanted.name, displayName: wanted.name },
        pubKeyCredParams: wanted.algorithms.map((alg) => ({ type: 'public-key', alg })),
        excludeCredentials: wanted.known.map((id) => ({ type: 'public-key', id: bytesOf(id) })),
        authenticatorSelection: { residentKey: 'required', userVerification: 'required' },
        attestation: 'none',
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const { clientDataJSON, attestationObject } = made.response as AuthenticatorAttestationResponse;
  const json = {
    name,
    client: textOf(clientDataJSON),
    attestation: textOf(attestationObject),
  };
  await ask('/login/passkeys', { method: 'POST', json });
}

/** Has a device show a passkey of its holder; what the server answers to it. */
export async function logInByPasskey<Session>(): Promise<Session> {
  const path = '/session/passkey/challenge';
  const wanted = await ask<PasskeyChallenge>(path, { method: 'POST' });
  const shown = await told(() =>
    navigator.credentials.get({
      publicKey: {
        challenge: bytesOf(wanted.challenge),
        rpId: wanted.host,
        userVerification: 'required',
        timeout: TIMEOUT_MS,
      },
    }),
  );
  const response = shown.response as AuthenticatorAssertionResponse;
  const json = {
    id: textOf(shown.rawId),
    client: textOf(response.clientDataJSON),
    authenticator: textOf(response.authenticatorData),
    signature: textOf(response.signature),
    user: response.userHandle ? textOf(response.userHandle) : '',
  };
  return ask<Session>('/session/passkey', { method: 'POST', json });
}

/** A person has to find their phone; the challenge is good for five minutes. */
const TIMEOUT_MS = 120_000;

/** What a browser says when it does not go on, as a problem of ours. */
async function told(act: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const made = await act();
    if (made) return made as PublicKeyCredential;
  } catch (error) {
    const name = error instanceof DOMException ? error.name : '';
    if (name === 'InvalidStateError') throw new Problem(0, 'passkey_known');
    if (name === 'SecurityError') throw new Problem(0, 'passkey_browser');
    if (name !== 'NotAllowedError' && name !== 'AbortError') throw error;
  }
  throw new Problem(0, 'passkey_stopped');
}
