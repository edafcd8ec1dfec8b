// A gateway that nobody owns yet.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  accessible,
  fits,
  missing,
  picture,
  setting,
  startBrowser,
  visit,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_FRESH_URL', 'FYRHUS_FRESH_CODE');

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

test('the one-time code makes the first user, and only once', { skip }, async () => {
  const { context, page, wrong } = await visit(browser, setting('FYRHUS_FRESH_URL'), {
    width: WIDTHS.phone,
  });
  await page.goto('/?lang=nb');
  await page.getByRole('heading', { level: 1, name: /ingen eier ennå/ }).waitFor();
  await fits(page, 'first run');
  await accessible(page, 'first run');
  await picture(page, 'first-run-390');

  const fill = async (code, password) => {
    await page.getByLabel('Engangskode').fill(code);
    await page.getByLabel('Ditt navn').fill('kari');
    await page.getByLabel('Passord').fill(password);
    await page.getByRole('button', { name: 'Ta i bruk gatewayen' }).click();
  };
  const password = 'en lang setning som bare Kari husker';
  await fill('AAAA-AAAA-AAAA-A', password);
  await page.getByText('Koden stemmer ikke.').waitFor();
  await fill(setting('FYRHUS_FRESH_CODE'), 'kort');
  await page.getByText('Passordet er for kort.').waitFor();
  await fill(setting('FYRHUS_FRESH_CODE'), password);
  await page.getByRole('heading', { level: 1, name: 'Nett, klokke og bygg' }).waitFor();
  await picture(page, 'claimed-390');

  // Where nothing is set up yet, the example is a configuration that the gateway takes.
  await page.goto('/setup');
  await page.getByRole('button', { name: 'Begynn med et eksempel' }).click();
  const text = page.getByRole('textbox', { name: 'Oppsett av bygget' });
  assert.match(await text.inputValue(), /\[\[meter\]\]/);
  await page.getByRole('button', { name: 'Lagre oppsettet' }).click();
  await page.getByText('Lagret og tatt i bruk.').waitFor();
  await accessible(page, 'the first configuration');
  await fits(page, 'the first configuration');
  await picture(page, 'configured-390');

  // The next one who comes is asked to log in, not to claim.
  const other = await visit(browser, setting('FYRHUS_FRESH_URL'));
  await other.page.goto('/?lang=nb');
  await other.page.getByRole('heading', { level: 1, name: 'Velkommen tilbake.' }).waitFor();
  assert.deepEqual([...wrong, ...other.wrong], []);
  await other.context.close();
  await context.close();
});
