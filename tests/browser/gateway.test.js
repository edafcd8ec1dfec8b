// What a person does on the dashboard of a gateway.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  accessible,
  api,
  fits,
  holds,
  missing,
  people,
  picture,
  setting,
  settled,
  startBrowser,
  tellBuilding,
  visit,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD');
const PAGES = ['/', '/meters', '/buses', '/cloud', '/setup'];

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const logged = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
const person = (options) => logged(browser, options);

/** The first meter that answers and has been read. */
async function someMeter(page, wanted = () => true) {
  const meters = await api(page, '/meters');
  const found = meters.find((meter) => meter.state === 'ok' && meter.main && wanted(meter));
  assert.ok(found, `no meter to look at among ${meters.length}`);
  return found;
}

test('a wrong password is said, and the right one opens the overview', { skip }, async () => {
  const { context, page, wrong } = await visit(browser, setting('FYRHUS_URL'));
  await page.goto('/?lang=nb');
  await page.getByLabel('Navn').fill(setting('FYRHUS_USER'));
  await page.getByLabel('Passord').fill('not the password of anybody');
  await page.getByRole('button', { name: 'Logg inn' }).click();
  await page.getByText('Navn eller passord er feil.').waitFor();
  await accessible(page, 'the login page');

  await page.getByLabel('Passord').fill(setting('FYRHUS_PASSWORD'));
  await page.getByRole('button', { name: 'Logg inn' }).click();
  await page.locator('[data-medium]').first().waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test('values change while one looks', { skip }, async () => {
  const { context, page, wrong } = await person();
  const { id } = await someMeter(page, (meter) => /power|flow/.test(meter.main.register));
  await page.goto(`/meters/${id}`);
  const values = page.locator('[data-register] dd');
  await values.first().waitFor();
  const first = (await values.allInnerTexts()).join(' | ');
  await page.waitForFunction(
    (before) =>
      [...document.querySelectorAll('[data-register] dd')].map((it) => it.innerText).join(' | ') !==
      before,
    first,
    { timeout: 90_000 },
  );
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a meter is opened from the list, and its history read', { skip }, async () => {
  const { context, page, wrong } = await person();
  await page.getByRole('link', { name: 'Målere' }).first().click();
  const { name } = await someMeter(page, (meter) => meter.today);
  await page.getByRole('link', { name }).first().click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
  // The link that was followed is gone; keys and readers go on where the new page begins.
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'main');
  const cursor = page.locator('input[type="range"]').first();
  await cursor.waitFor({ state: 'attached' });

  // Day, week, month, year: each has its address, and back leads to the one before.
  for (const [word, period] of [
    ['Uke', 'week'],
    ['Måned', 'month'],
    ['År', 'year'],
  ]) {
    await page.getByRole('button', { name: word, exact: true }).click();
    await page.waitForURL((url) => url.searchParams.get('period') === period);
    await settled(page);
  }
  await page.goBack();
  await page.waitForURL((url) => url.searchParams.get('period') === 'month');

  // The keys walk along the chart, and what stands there is said.
  await cursor.focus();
  await page.keyboard.press('Home');
  for (let step = 0; step < 12; step += 1) await page.keyboard.press('ArrowRight');
  await page.keyboard.press('End');
  assert.match((await cursor.getAttribute('aria-valuetext')) ?? '', /\d/);
  await page.keyboard.press('t');
  const table = page.locator('table');
  await table.waitFor();
  assert.ok((await table.locator('tbody tr').count()) > 0, 'the table has rows');
  assert.equal(new URL(page.url()).searchParams.get('view'), 'table');
  await accessible(page, 'a meter with its table');

  // Whoever opens this address sees the same.
  await page.reload();
  await page.locator('table').waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test('language and theme are switched and kept', { skip }, async () => {
  const { context, page, wrong } = await person();
  await page.goto('/setup');
  await page.getByRole('button', { name: 'English' }).click();
  await page.getByRole('heading', { level: 1, name: 'Setup' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'en');
  await page.getByRole('button', { name: 'Dansk' }).click();
  await page.getByRole('heading', { level: 1, name: 'Opsætning' }).waitFor();

  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.getByRole('button', { name: 'Mørkt' }).click();
  assert.notEqual(await paper(), light);
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Opsætning' }).waitFor();
  assert.equal(await page.locator('html').getAttribute('data-theme'), 'dark');
  assert.deepEqual(wrong, []);
  await context.close();
});

test(
  'a meter whose plug is pulled is said to be silent, and comes back',
  { skip: skip || missing('FYRHUS_DEMO_CONTROL'), timeout: 240_000 },
  async () => {
    const { context, page, wrong } = await person();
    const { id, name } = await someMeter(page);
    await page.goto(`/meters/${id}`);
    await page.locator('[data-state="ok"]').waitFor();
    tellBuilding(`silence ${id} on`);
    try {
      await page.locator('[data-state="silent"]').waitFor({ timeout: 120_000 });
      await page.getByText('Måleren er taus.').waitFor();
      // The gap under the chart has its cause.
      const gap = page.locator('li', { hasText: 'Hull siden' }).first();
      await gap.getByText('Måleren svarer ikke').waitFor({ timeout: 60_000 });
      await picture(page, 'silent-meter');
      await accessible(page, 'a silent meter');
      await page.goto('/');
      await page.getByRole('link', { name: `${name} svarer ikke` }).waitFor();
    } finally {
      tellBuilding(`silence ${id} off`);
    }
    await page.goto(`/meters/${id}`);
    await page.locator('[data-state="ok"]').waitFor({ timeout: 120_000 });
    assert.deepEqual(wrong, []);
    await context.close();
  },
);

test('a reading is corrected with a reason, and what was read stays', { skip }, async () => {
  const { context, page, wrong } = await person();
  const { id } = await someMeter(page, (meter) => meter.medium === 'water');
  // The whole hour before the last one is over, and was read before the browser came.
  const at = new Date(Math.floor(Date.now() / 3_600_000) * 3_600_000 - 3_600_000);
  const span = `from=${at.toISOString()}&until=${new Date(+at + 3_600_000).toISOString()}`;
  const { readings } = await api(page, `/meters/${id}/readings?register=volume&${span}`);
  const read = readings.find((it) => it.value !== null);
  assert.ok(read, 'the demo has history');
  // One step more.
  const [whole, part = ''] = read.value.split('.');
  const places = part.length;
  const right = (BigInt(whole + part) + 1n).toString().padStart(places + 1, '0');
  const figure = places ? `${right.slice(0, -places)},${right.slice(-places)}` : right;

  await page.goto(`/meters/${id}`);
  await page.getByRole('button', { name: 'Rett en avlesning' }).click();
  const form = page.getByRole('form', { name: 'Rett en avlesning' });
  await form.waitFor();
  // A meter that tells nothing else does not ask.
  const what = form.getByRole('combobox', { name: /^Hva/ });
  if ((await what.count()) > 0) await what.selectOption('volume');
  const { time_zone: timeZone } = await api(page, '/site');
  const shown = new Date(read.at).toLocaleString('sv-SE', { timeZone }).replace(' ', 'T');
  await form.getByLabel('Når avlesningen var').fill(shown);
  const reading = form.getByRole('combobox', { name: /^Avlesning/ });
  await reading.waitFor();
  await page.waitForFunction((at) => document.querySelector(`option[value="${at}"]`), read.at);
  await reading.selectOption(read.at);
  await form.getByLabel('Riktig tall').fill('mye');
  await form.getByLabel('Hvorfor').fill('lest av på displayet');
  await form.getByRole('button', { name: 'Før inn' }).click();
  await form.getByText('skriv et tall').waitFor();
  await accessible(page, 'a correction that was refused');
  await form.getByLabel('Riktig tall').fill(figure);
  await form.getByRole('button', { name: 'Før inn' }).click();
  await page.getByText('Det som sto der før, er bevart.').waitFor();
  await page.getByText('lest av på displayet').first().waitFor();
  await accessible(page, 'a corrected meter');
  await picture(page, 'corrected');
  const again = await api(page, `/meters/${id}/readings?register=volume&${span}`);
  const now = again.readings.find((it) => it.at === read.at);
  assert.equal(now.origin, 'correction');
  assert.equal(now.value.replace('.', ','), figure);
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a wrong configuration is refused with its lines, and nothing changes', { skip }, async () => {
  const { context, page, wrong } = await person();
  await page.goto('/setup');
  const editor = page.getByRole('textbox', { name: 'Oppsett av bygget' });
  await editor.waitFor();
  const text = await editor.inputValue();
  await editor.fill(`${text}\n[[meter]]\nadress = 5\n`);
  await page.getByRole('button', { name: 'Lagre oppsettet' }).click();
  await page
    .getByRole('button', { name: /^Linje \d+/ })
    .first()
    .waitFor();
  await accessible(page, 'a configuration with mistakes');
  await page.getByRole('button', { name: 'Forkast' }).click();
  assert.equal(await editor.inputValue(), text);
  // A version that is still what was saved goes out as a file that proves itself.
  const signed = page.getByRole('link', { name: /^Versjon \d+ som signert fil$/ }).first();
  const file = await page.request.get(await signed.getAttribute('href'));
  assert.match(await file.text(), /^# A version of a gateway's configuration, signed:/);
  assert.deepEqual(wrong, []);
  await context.close();
});

test('the policy of the page lets nothing foreign in', { skip }, async () => {
  const context = await browser.newContext({ ignoreHTTPSErrors: true });
  const page = await context.newPage();
  const refused = [];
  page.on('console', (message) => {
    if (/Content Security Policy/.test(message.text())) refused.push(message.text());
  });
  const response = await page.goto(setting('FYRHUS_URL'));
  const policy = response?.headers()['content-security-policy'] ?? '';
  assert.match(policy, /script-src 'self'|default-src 'self'/);
  assert.doesNotMatch(policy, /unsafe-inline|unsafe-eval|https?:/);
  await page.locator('h1').first().waitFor();
  assert.deepEqual(refused, []);
  await context.close();
});

for (const [device, width] of Object.entries(WIDTHS)) {
  const where = `${device} (${width} px)`;
  test(`every page on a ${where}`, { skip, timeout: 300_000 }, async () => {
    const { context, page, wrong } = await person({ width });
    const { id } = await someMeter(page);
    for (const path of [...PAGES, `/meters/${id}`]) {
      await page.goto(path);
      await settled(page);
      const name = path === '/' ? 'overview' : (path.split('/')[1] ?? '');
      const one = path.startsWith('/meters/') ? 'meter' : name;
      await holds(page, `${one}-${width}`, `${path}, ${where}`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });
}

for (const lang of ['nb', 'en', 'da']) {
  test(
    `every page in ${lang} has its texts and fits on a phone`,
    { skip, timeout: 120_000 },
    async () => {
      const { context, page, wrong } = await person({ width: WIDTHS.phone });
      const { id } = await someMeter(page);
      for (const path of [...PAGES, `/meters/${id}`]) {
        await page.goto(`${path}?lang=${lang}`);
        await settled(page);
        assert.equal(await page.locator('html').getAttribute('lang'), lang);
        await fits(page, `${path} in ${lang}`);
        // A code in place of its text, or a placeholder that nobody filled in.
        const said = await page.locator('body').innerText();
        const raw = said.match(/\{\w+\}|\b[a-z]+\.[a-z]+\.[a-z.]+\b/g) ?? [];
        const odd = raw.filter((text) => !/\.(?:toml|example|no|com|org|local)$/.test(text));
        assert.deepEqual(odd, [], `${path} in ${lang}`);
      }
      assert.deepEqual(wrong, []);
      await context.close();
    },
  );
}
