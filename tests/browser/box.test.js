// What an owner does to the box itself: its certificate, and what it tells whoever helps from afar.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { api, holds, missing, people, setting, settled, startBrowser, WIDTHS } from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD', 'FYRHUS_TLS_PORT');

let browser;
let owner;
let folder;
before(async () => {
  browser = await startBrowser();
  owner = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
  folder = mkdtempSync(join(tmpdir(), 'fyrhus-certificate-'));
});
after(async () => {
  rmSync(folder, { recursive: true });
  await browser?.close();
});

/** A certificate for twenty days, and its key. */
function made(name) {
  const [certificate, key] = ['pem', 'key'].map((end) => join(folder, `${name}.${end}`));
  const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name},IP:127.0.0.1`];
  const files = ['-keyout', key, '-out', certificate];
  execFileSync('openssl', [...how, '-days', '20', ...names, ...files], { stdio: 'ignore' });
  return { certificate, key, print: new X509Certificate(readFileSync(certificate)).fingerprint256 };
}

/** The one that whoever connects now is shown. */
function shown() {
  return new Promise((done, fail) => {
    const port = Number(setting('FYRHUS_TLS_PORT'));
    const socket = connect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      done(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
    socket.on('error', fail);
  });
}

test(
  'an owner brings a certificate and takes it away again',
  { skip, timeout: 180_000 },
  async () => {
    const own = await shown();
    const [theirs, other] = [made('fyrhus.example'), made('other.example')];
    const { context, page, wrong } = await owner(browser, { width: WIDTHS.phone });
    await page.goto('/certificate?lang=nb');
    await settled(page);
    await page.getByText('Bruk et eget sertifikat').click();
    const use = page.getByRole('button', { name: 'Ta i bruk' });
    await page.getByLabel('Sertifikat med kjede (PEM)').setInputFiles(theirs.certificate);
    await page.getByLabel('Nøkkel (PEM)').setInputFiles(other.key);
    await use.click();
    await page.getByText('Nøkkelen hører ikke til noe av sertifikatene').waitFor();
    assert.equal(await shown(), own);

    await page.getByLabel('Nøkkel (PEM)').setInputFiles(theirs.key);
    await use.click();
    await page.getByText('Tatt i bruk.').waitFor();
    assert.equal(await shown(), theirs.print, 'without a start');
    await holds(page, 'certificate-brought', 'the certificate that was brought');
    await page.goto('/');
    await page.getByText('Sertifikatet for sidene går ut').first().waitFor();

    await page.goto('/certificate');
    await page.getByRole('button', { name: 'Tilbake til gatewayens eget' }).click();
    await page.getByRole('button', { name: 'Slett sertifikatet og nøkkelen her' }).click();
    await page.locator('dd', { hasText: 'gatewayens egen autoritet' }).waitFor();
    assert.equal(await shown(), own);
    assert.deepEqual(wrong, []);
    await context.close();
  },
);

test('the diagnosis is a file without names and secrets', { skip, timeout: 300_000 }, async () => {
  const { context, page, wrong } = await owner(browser);
  const names = (await api(page, '/meters')).map((meter) => meter.name);
  await page.goto('/setup?lang=nb');
  await settled(page);
  const take = page.getByRole('link', { name: 'Last ned diagnosen' });
  const [download] = await Promise.all([page.waitForEvent('download'), take.click()]);
  const text = readFileSync(await download.path(), 'utf8');
  const told = JSON.parse(text);
  assert.ok(told.about && told.version && told.running, Object.keys(told).join(', '));
  assert.ok(names.length > 5, 'a building with meters');
  const secrets = [setting('FYRHUS_PASSWORD'), ...names];
  assert.deepEqual(
    secrets.filter((it) => text.includes(it)),
    [],
  );
  assert.deepEqual(wrong, []);
  await context.close();
});
