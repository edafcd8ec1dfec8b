// What a person is told when something is not as it should be: an address of nonsense, a session that
// is over, a gateway that says nothing any more.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  accessible,
  api,
  fits,
  missing,
  people,
  setting,
  settled,
  startBrowser,
  visit,
  WIDTHS,
} from './support.js';

const skip = missing('FYRHUS_URL', 'FYRHUS_USER', 'FYRHUS_PASSWORD');
const noPortfolio = missing('PORTFOLIO_URL', 'PORTFOLIO_USER', 'PORTFOLIO_PASSWORD');
const NOBODY = '01a200e8-0000-7000-8000-000000000000';

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const logged = people(setting('FYRHUS_URL'), setting('FYRHUS_USER'), setting('FYRHUS_PASSWORD'));
const person = (options) => logged(browser, options);

test('an address of nonsense leads to a page that says so', { skip }, async () => {
  const { context, page, wrong } = await person();
  const heading = page.getByRole('heading', { level: 1 });
  for (const path of ['/nothing/here', '/meters/nope', '/meters/%E0%A4%A', `/meters/${NOBODY}`]) {
    await page.goto(path);
    await page.getByRole('heading', { level: 1, name: 'Siden finnes ikke' }).waitFor();
    assert.equal(await page.getByText('Prøv igjen').count(), 0, `${path} has nothing to try again`);
  }
  await page.getByText('Måleren finnes ikke her.').waitFor();
  await accessible(page, 'a meter that does not exist');

  // A month or a period that is none, or is still to come, is the running one.
  for (const month of ['2026-13', '9999-12', '0000-00', 'mai']) {
    await page.goto(`/cloud?month=${month}`);
    await settled(page);
    assert.doesNotMatch(await heading.innerText(), /kunne ikke/, month);
    assert.equal(await page.getByRole('link', { name: 'Neste måned' }).count(), 0, month);
  }
  const [{ id }] = await api(page, '/meters');
  for (const at of ['9999-12-31', '2026-02-30', 'i går']) {
    await page.goto(`/meters/${id}?period=day&at=${encodeURIComponent(at)}&register=hest`);
    await page.getByRole('heading', { level: 2, name: 'I dag' }).waitFor();
  }
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a session that was ended elsewhere is said, and the page waits', { skip }, async () => {
  // A session of its own: the others go on with theirs.
  const { context, page, wrong } = await visit(browser, setting('FYRHUS_URL'));
  const logIn = async () => {
    await page.getByLabel('Navn').fill(setting('FYRHUS_USER'));
    await page.getByLabel('Passord').fill(setting('FYRHUS_PASSWORD'));
    await page.getByRole('button', { name: 'Logg inn' }).click();
  };
  await page.goto('/setup?lang=nb');
  await logIn();
  const setup = page.getByRole('heading', { level: 1, name: 'Oppsett' });
  await setup.waitFor();
  await page.evaluate(() => fetch('/api/v1/session', { method: 'DELETE' }));
  // Nothing on this page asks for anything: the live stream brings it.
  await page.getByText('Økten er over').waitFor();
  await logIn();
  await setup.waitFor();

  // Whoever goes by themselves hears nothing of an end.
  await page.getByRole('button', { name: 'Logg ut' }).click();
  await page.getByText('Logg inn for å se byggets målere.').waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a name as long as a name may be fits the smallest phone', { skip }, async () => {
  const { context, page, wrong } = await person({ width: WIDTHS.small });
  const [{ id }] = await api(page, '/meters');
  const long = 'Varmemengdemåler'.repeat(5);
  const answer = (path, change) =>
    page.route(`**/api/v1/${path}`, async (route) => {
      const response = await route.fetch();
      await route.fulfill({ response, json: change(await response.json()) });
    });
  const named = (it) => ({ ...it, name: long });
  await answer('meters', (all) => all.map(named));
  await answer(`meters/${id}`, named);
  await answer('buses', (all) => all.map(named));
  // The live stream would tell the buses' own names.
  await page.route('**/api/v1/live', (route) => route.fulfill({ status: 204 }));
  for (const path of ['/meters', `/meters/${id}`, '/buses']) {
    await page.goto(path);
    await settled(page);
    await page.getByText(long).first().waitFor();
    await fits(page, `${path} with a long name`);
  }
  assert.deepEqual(wrong, []);
  await context.close();
});

test('a gateway that falls silent without a word is missed', { skip }, async () => {
  const { context, page, wrong } = await person();
  // As behind a pulled cable: the connection is there, and nothing comes.
  await page.addInitScript(() => {
    globalThis.EventSource = class extends EventTarget {
      static CLOSED = 2;
      readyState = 1;
      close() {}
    };
  });
  await page.clock.install();
  // A page that asks for nothing while it is looked at: an answer would be a sign of life.
  await page.goto('/me');
  await settled(page);
  const lost = page.getByText('Ingen kontakt med gatewayen.');
  assert.equal(await lost.count(), 0);
  await page.clock.runFor(45_000);
  await lost.waitFor();
  await page.getByText('Nye kommer av seg selv.').waitFor();
  assert.deepEqual(wrong, []);
  await context.close();
});

test(
  'the portfolio says what it does not have, and where one is',
  { skip: noPortfolio },
  async () => {
    const keeper = people(
      setting('PORTFOLIO_URL'),
      setting('PORTFOLIO_USER'),
      setting('PORTFOLIO_PASSWORD'),
    );
    const { context, page, wrong } = await keeper(browser);
    for (const path of ['/sites/nope', `/sites/${NOBODY}`, `/sites/${NOBODY}/meters/${NOBODY}`]) {
      await page.goto(path);
      await page.getByRole('heading', { level: 1, name: 'Siden finnes ikke' }).waitFor();
    }
    await page.goto('/?state=lost');
    await page.getByText('Ingen anlegg passer til filteret.').waitFor();
    const [{ id }] = (await api(page, '/sites')).filter((site) => site.gateway);
    await page.goto(`/sites/${id}`);
    await settled(page);
    const here = page.getByRole('navigation', { name: 'Hovedmeny', exact: true });
    assert.equal(await here.locator('[aria-current="page"]').innerText(), 'Anlegg');
    assert.deepEqual(wrong, []);
    await context.close();
  },
);
