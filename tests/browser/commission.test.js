// An installer with a phone: from the box to a signed report, on a riser of twenty meters of which one
// counts a tenth of its volume and one has its sensors exchanged.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  accessible,
  api,
  fits,
  holds,
  missing,
  picture,
  setting,
  startBrowser,
  visit,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_NEW_URL', 'FYRHUS_NEW_CODE', 'FYRHUS_NEW_PORT', 'FYRHUS_NEW_METERS');
const STEPS = ['claim', 'site', 'buses', 'scan', 'meters', 'plates', 'checks', 'cloud', 'report'];

let browser;
let cookies;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

/** The same person with another phone, or with a screen. */
async function phone(options = {}) {
  const found = await visit(browser, setting('FYRHUS_NEW_URL'), {
    width: WIDTHS.phone,
    cookies,
    ...options,
  });
  return found;
}

/** The number on the plate of a meter of the simulated riser. */
function plate(name) {
  const { buses } = JSON.parse(readFileSync(setting('FYRHUS_NEW_METERS'), 'utf8').split('\n')[0]);
  const found = buses.flatMap((bus) => bus.meters).find((meter) => meter.name === name);
  return found.plate.slice(0, 8);
}

async function shown(page, name) {
  await fits(page, name);
  await accessible(page, name);
  await picture(page, `commission-${name}`);
}

const next = (page, name) => page.getByRole('button', { name: `Videre: ${name}` }).click();
const heading = (page, name) => page.getByRole('heading', { level: 1, name }).waitFor();

test(
  'a bus of twenty meters is commissioned with a phone',
  { skip, timeout: 900_000 },
  async () => {
    let { context, page, wrong } = await phone();
    await page.goto('/?lang=nb');
    await page.getByLabel('Engangskode').fill(setting('FYRHUS_NEW_CODE'));
    await page.getByLabel('Ditt navn').fill('kari');
    await page.getByLabel('Passord').fill('en lang setning som bare Kari husker');
    await page.getByRole('button', { name: 'Ta i bruk gatewayen' }).click();

    await heading(page, 'Nett, klokke og bygg');
    await page.getByLabel('Hva heter bygget?').fill('Storgata 12');
    await page.getByLabel('Sted').fill('Trondheim');
    await page.getByLabel('Tidssone').fill('Europe/Oslo');
    await page.getByRole('button', { name: 'Opprett bygget' }).click();
    await page.getByRole('button', { name: 'Lagre', exact: true }).waitFor();
    await shown(page, 'site');

    await next(page, 'Busser');
    await heading(page, 'Busser');
    await page.getByLabel('Port', { exact: true }).fill(setting('FYRHUS_NEW_PORT'));
    await page.getByRole('button', { name: 'Finn hastigheten' }).click();
    await page.getByText('svarer noe, trolig flere målere på en gang').waitFor({ timeout: 60_000 });
    await page.getByRole('combobox', { name: 'Hastighet' }).selectOption('38400');
    await page.getByLabel('Hva skal bussen hete?').fill('Stigeledning Å');
    await shown(page, 'buses');
    await page.getByRole('button', { name: 'Legg til bussen' }).click();
    await page.getByText('Stigeledning Å').first().waitFor();

    await next(page, 'Søk etter målere');
    await page.getByRole('button', { name: /primær/i }).click();
    // The phone falls into the shaft; the search goes on, and another phone is there.
    ({ cookies } = await context.storageState());
    assert.deepEqual(wrong, []);
    await context.close();
    ({ context, page, wrong } = await phone());
    await page.goto('/commission?lang=nb');
    await heading(page, 'Søk etter målere');
    await page.getByRole('button', { name: 'Ta med 20 målere' }).waitFor({ timeout: 300_000 });
    await shown(page, 'scan');
    await page.getByRole('button', { name: 'Ta med 20 målere' }).click();
    await page.getByRole('button', { name: /Ta med \d+ måler/ }).waitFor({ state: 'detached' });

    await next(page, 'Navn og plass');
    const known = async (name) => {
      const { meters } = await api(page, '/commission');
      const number = plate(name);
      const found = meters.find(({ serial, address }) => (serial ?? address).startsWith(number));
      assert.ok(found, `${name} (${number}) is not among ${meters.length}`);
      return found;
    };
    const main = await known('Main heat');
    await page.getByRole('button', { name: new RegExp(main.name) }).click();
    await page.getByLabel('Navn', { exact: true }).fill('Hovedmåler fjernvarme');
    await page.getByLabel('Hvor er den?').fill('Teknisk rom');
    await page.getByLabel('Merkelapper').fill('hoved, stigeledning Å');
    await shown(page, 'meters');
    await page.getByRole('button', { name: 'Lagre og gå til neste' }).click();
    await page.getByText('Teknisk rom · hoved · stigeledning Å').waitFor();

    // One whose reading is its display's, and one that counts a tenth of its volume.
    await next(page, 'Sjekk mot skiltet');
    const compare = async (name, factor) => {
      const { id } = await known(name);
      await page.goto(`/commission?lang=nb&step=plates&meter=${id}`);
      await page.getByRole('heading', { level: 2, name: 'Volum' }).waitFor({ timeout: 120_000 });
      const { values } = await known(name);
      const { value } = values.find(({ register }) => register === 'volume');
      const display = (Number(value.value) * factor).toFixed(2).replace('.', ',');
      await page.locator('#shown-volume').fill(display);
      await page.getByRole('button', { name: 'Les og sammenlign' }).click();
    };
    await compare('Heat 1', 1);
    await page.getByText('Likt', { exact: true }).waitFor();
    await compare('Heat 3', 10);
    await page.getByText('10 × for lite').waitFor();
    const photo = await page.screenshot();
    await page
      .locator('input[type="file"]')
      .setInputFiles({ name: 'plate.png', mimeType: 'image/png', buffer: photo });
    await page.getByRole('img', { name: /^Bilde av/ }).waitFor();
    await page.getByLabel('Merknad til protokollen').fill('Pulstallet rettes av leverandøren.');
    await page.getByLabel('Merknad til protokollen').blur();
    await page.getByText('Lagret på gatewayen').waitFor();
    await shown(page, 'plates');

    await next(page, 'Kontroller');
    const swapped = await known('Heat 5');
    await page.getByText('2 målere kan ikke være riktig montert.').waitFor({ timeout: 120_000 });
    await page.getByText(/Følerne er trolig byttet om/).waitFor();
    await page.getByText(/Volumet er trolig 10 ganger for lite/).waitFor();
    await page.getByText(swapped.name).first().waitFor();
    await shown(page, 'checks');

    await next(page, 'Sky');
    await shown(page, 'cloud');
    await next(page, 'Prøvelesning og protokoll');
    await page.getByRole('button', { name: 'Les alle 20' }).click();
    await page.getByText('20 av 20 svarer').waitFor({ timeout: 180_000 });
    await page.getByLabel('Fullt navn').fill('Kari Moen');
    const field = page.getByRole('img', { name: /Felt for underskrift/ });
    await field.scrollIntoViewIfNeeded();
    const box = await field.boundingBox();
    await page.mouse.move(box.x + 40, box.y + 80);
    await page.mouse.down();
    for (let step = 1; step <= 30; step += 1) {
      await page.mouse.move(box.x + 40 + step * 8, box.y + 80 + 30 * Math.sin(step / 2));
    }
    await page.mouse.up();
    await page.getByRole('button', { name: 'Skriv under' }).click();
    await page.getByText(/Underskrevet av Kari Moen/).waitFor();
    await shown(page, 'report');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Last ned protokollen (PDF)' }).click(),
    ]);
    const pdf = readFileSync(await download.path());
    assert.ok(pdf.subarray(0, 4).equals(Buffer.from('%PDF')), 'the report is a PDF');
    writeFileSync(new URL('./out/acceptance-report.pdf', import.meta.url), pdf);

    // And the history knows who did what, and takes it back.
    await page.goto('/setup?lang=nb');
    await page.getByRole('button', { name: 'Se endringen i versjon 4' }).click();
    await page.getByText('+ name = "Hovedmåler fjernvarme"').waitFor();
    assert.deepEqual(wrong, []);
    ({ cookies } = await context.storageState());
    await context.close();
  },
);

for (const [device, width] of Object.entries(WIDTHS)) {
  const where = `${device} (${width} px)`;
  test(`every step on a ${where}`, { skip, timeout: 300_000 }, async () => {
    assert.ok(cookies, 'the journey before this one has come to its end');
    const { context, page, wrong } = await phone({ width });
    for (const step of STEPS) {
      await page.goto(`/commission?lang=nb&step=${step}`);
      await page.locator('main .panel, main ul, main form').first().waitFor();
      await holds(page, `commission-${step}-${width}`, `${step}, ${where}`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
