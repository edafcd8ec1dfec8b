// What whoever looks after the building does beside the figures: meters on a plan, a copy of all that the
// gateway is, a wire's answers as they come.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  accessible,
  fits,
  holds,
  missing,
  people,
  picture,
  setting,
  settled,
  startBrowser,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD');

let browser;
let owner;
before(async () => {
  browser = await startBrowser();
  owner = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
});
after(() => browser?.close());

/** The floor of a cellar, as somebody would draw it. */
async function drawing(page) {
  const url = await page.evaluate(() => {
    const canvas = document.createElement('canvas');
    [canvas.width, canvas.height] = [1200, 760];
    const draw = canvas.getContext('2d');
    draw.fillStyle = '#fff';
    draw.fillRect(0, 0, 1200, 760);
    draw.strokeStyle = '#345';
    draw.lineWidth = 8;
    for (const [x, y, w, h] of [
      [40, 40, 1120, 680],
      [40, 40, 420, 330],
      [460, 40, 320, 680],
      [780, 300, 380, 420],
    ]) {
      draw.strokeRect(x, y, w, h);
    }
    draw.fillStyle = '#345';
    draw.font = '32px sans-serif';
    draw.fillText('Teknisk rom', 150, 200);
    draw.fillText('Vaskekjeller', 860, 500);
    return canvas.toDataURL('image/png');
  });
  return Buffer.from(url.split(',')[1], 'base64');
}

test('meters are put on a plan, and found on it', { skip, timeout: 300_000 }, async () => {
  const { context, page, wrong } = await owner(browser);
  await page.goto('/meters?lang=nb');
  await page.getByRole('link', { name: 'Vis på plan' }).click();
  await page.getByLabel('Hva heter planen?').fill('Kjeller');
  const file = { name: 'kjeller.png', mimeType: 'image/png', buffer: await drawing(page) };
  await page.locator('input[type="file"]').setInputFiles(file);
  await page.getByRole('button', { name: 'Legg inn planen' }).click();
  const plan = page.getByRole('img', { name: 'Plan: Kjeller' });
  await plan.waitFor();

  const kept = () =>
    page.waitForResponse((it) => it.request().method() === 'PUT' && it.url().includes('/plans/'));
  const put = async (meter, x, y) => {
    const told = kept();
    await page.getByRole('button', { name: meter, exact: true }).first().click();
    const { width, height } = await plan.boundingBox();
    await plan.click({ position: { x: width * x, y: height * y } });
    assert.equal((await told).status(), 200);
  };
  await put('Fjernvarme, hovedmåler', 0.12, 0.2);
  await put('Vann, inntak', 0.3, 0.35);
  await put('Strøm, inntak', 0.6, 0.2);
  // By keys as well: the one that was chosen last goes a step to the right.
  const pushed = kept();
  await page.getByRole('button', { name: 'Strøm, inntak', exact: true }).last().press('ArrowRight');
  assert.equal((await pushed).status(), 200);
  await fits(page, 'a plan that is edited');
  await accessible(page, 'a plan that is edited');
  await picture(page, 'plan-edit-1280');

  await page.getByRole('button', { name: 'Ferdig' }).click();
  await page.getByRole('heading', { name: '3 målere her' }).waitFor();
  const { pins } = (await page.evaluate(async () => (await fetch('/api/v1/plans')).json()))[0];
  const meters = await page.evaluate(async () => (await fetch('/api/v1/meters')).json());
  const power = meters.find(({ name }) => name === 'Strøm, inntak').id;
  const { x } = pins.find(({ meter }) => meter === power);
  assert.ok(Math.abs(x - 610) <= 3, `a step of ten thousandths to the right of 600 is not ${x}`);
  await page.getByRole('link', { name: /^Vann, inntak, / }).click();
  await page.getByRole('heading', { level: 1, name: 'Vann, inntak' }).waitFor();
  assert.deepEqual(wrong, []);
  await context.close();

  for (const width of Object.values(WIDTHS)) {
    const other = await owner(browser, { width });
    await other.page.goto('/plan?lang=nb');
    await other.page.getByRole('img', { name: 'Plan: Kjeller' }).waitFor();
    await holds(other.page, `plan-${width}`, `the plan at ${width} px`);
    assert.deepEqual(other.wrong, []);
    await other.context.close();
  }

  const last = await owner(browser);
  await last.page.goto('/plan?lang=nb');
  await last.page.getByRole('button', { name: 'Plasser målere' }).click();
  await last.page.getByRole('button', { name: 'Fjern Kjeller' }).click();
  await last.page.getByRole('button', { name: 'Ja, fjern Kjeller' }).click();
  await last.page.getByRole('heading', { name: 'Legg inn den første planen' }).waitFor();
  await last.context.close();
});

test('an owner takes a backup home', { skip, timeout: 240_000 }, async () => {
  const { context, page, wrong } = await owner(browser);
  await page.goto('/setup?lang=nb');
  await settled(page);
  await page.getByLabel('Passfrase', { exact: true }).fill('riktig hest batteri');
  await page.getByLabel('Passfrasen en gang til').fill('riktig hest');
  await page.getByRole('button', { name: 'Lag en sikkerhetskopi' }).click();
  await page.getByText('De to er ikke like.').waitFor();
  await page.getByLabel('Passfrasen en gang til').fill('riktig hest batteri');
  await page.getByRole('button', { name: 'Lag en sikkerhetskopi' }).click();
  const take = page.getByRole('link', { name: 'Last ned kopien' });
  await take.waitFor({ timeout: 180_000 });
  await accessible(page, 'a backup that is ready');
  await picture(page, 'backup-ready');
  const [download] = await Promise.all([page.waitForEvent('download'), take.click()]);
  const copy = readFileSync(await download.path());
  assert.ok(copy.subarray(0, 15).equals(Buffer.from('fyrhus-sealed-1')), 'it is sealed');
  await page.getByRole('button', { name: 'Ta den bort' }).click();
  await page.getByLabel('Passfrase', { exact: true }).waitFor();

  // And looks into it, which changes nothing.
  await page
    .getByLabel('Kopien, en fil som slutter på .backup')
    .setInputFiles(await download.path());
  const restore = page.locator('section', { hasText: 'Tilbakefør en kopi' });
  await restore.getByLabel('Passfrase').fill('riktig hest batteri');
  await restore.getByRole('button', { name: 'Se hva den inneholder' }).click();
  await restore.getByText('ja, hver byte er kontrollert').waitFor({ timeout: 180_000 });
  await restore.getByText('Kvernhusgata 4').waitFor();
  await accessible(page, 'a backup that was looked into');
  await fits(page, 'a backup that was looked into');
  await picture(page, 'restore-held');
  await restore.getByRole('button', { name: 'Forkast kopien' }).click();
  await page.getByLabel('Kopien, en fil som slutter på .backup').waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test('whose word the browser can take is told, and how to install it', { skip }, async () => {
  for (const width of [WIDTHS.phone, WIDTHS.laptop, WIDTHS.desk]) {
    const { context, page, wrong } = await owner(browser, { width });
    await page.goto('/setup?lang=nb');
    await settled(page);
    await page.getByRole('link', { name: 'Sertifikat og tillit' }).click();
    await page.getByRole('heading', { name: 'Gatewayens egen autoritet' }).waitFor();
    await page.getByText('Firefox', { exact: true }).click();
    await holds(page, `certificate-${width}`, `the certificate at ${width} px`);
    const take = page.getByRole('link', { name: 'Last ned sertifikatet' });
    const [download] = await Promise.all([page.waitForEvent('download'), take.click()]);
    const authority = new X509Certificate(readFileSync(await download.path()));
    assert.ok(authority.ca, 'phones install nothing else');
    const shown = await page
      .getByText(/^[0-9A-F]{2}(\s|\u00a0)/)
      .first()
      .innerText();
    assert.equal(shown.replaceAll(/[^0-9A-F]/g, ''), authority.fingerprint256.replaceAll(':', ''));
    assert.deepEqual(wrong, []);
    await context.close();
  }
});

test('a manual and a picture stand at their meter', { skip }, async () => {
  const { context, page, wrong } = await owner(browser, { width: WIDTHS.phone });
  await page.goto('/meters?lang=nb');
  await settled(page);
  await page.locator('a[href^="/meters/"]').first().click();
  const papers = page.locator('section', { hasText: 'Dokumenter og bilder' });
  const add = papers.locator('input[type=file]');
  const manual = { name: 'Bruksanvisning.pdf', mimeType: 'application/pdf' };
  await add.setInputFiles({ ...manual, buffer: Buffer.from('%PDF-1.7\n') });
  await papers.getByText('Bruksanvisning').waitFor();
  const square = await page.screenshot({ clip: { x: 0, y: 0, width: 200, height: 150 } });
  await add.setInputFiles({ name: 'Skilt.png', mimeType: 'image/png', buffer: square });
  await papers.getByRole('img', { name: 'Skilt' }).waitFor();
  await fits(page, 'papers of a meter');
  await accessible(page, 'papers of a meter');
  await picture(page, 'papers');
  for (const name of ['Skilt', 'Bruksanvisning']) {
    await papers.getByRole('button', { name: `Fjern ${name}` }).click();
    await papers.getByRole('button', { name: `Ja, fjern ${name}` }).click();
    await papers.getByText(name, { exact: true }).waitFor({ state: 'detached' });
  }
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a wire tells each answer as it comes', { skip, timeout: 300_000 }, async () => {
  for (const width of [WIDTHS.phone, WIDTHS.laptop]) {
    const { context, page, wrong } = await owner(browser, { width });
    await page.goto('/buses?lang=nb');
    await settled(page);
    const log = page.locator('details', { hasText: 'Direkte logg' }).first();
    await log.locator('summary').click();
    const rows = log.getByRole('button', { name: /^Svaret fra / });
    await rows.nth(2).waitFor({ timeout: 60_000 });
    await log.getByRole('button', { name: 'Stopp', exact: true }).click();
    const count = await rows.count();
    // The oldest of them is on the disk by now.
    await rows.last().click();
    await log.getByRole('heading', { name: 'Ramme', exact: true }).first().waitFor();
    assert.equal(await rows.count(), count, 'a log that is held stands still');
    await fits(page, `a live log at ${width} px`);
    await accessible(page, `a live log at ${width} px`);
    await picture(page, `wirelog-${width}`);
    assert.deepEqual(wrong, []);
    await context.close();
  }
});
