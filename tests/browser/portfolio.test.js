// What a person does on the pages of the portfolio.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { api, holds, missing, people, setting, settled, startBrowser, WIDTHS } from './support.js';

const skip = missing('PORTFOLIO_URL', 'PORTFOLIO_USER', 'PORTFOLIO_PASSWORD');

let browser;
before(async () => {
  browser = await startBrowser();
});
after(() => browser?.close());

const logged = people(
  setting('PORTFOLIO_URL'),
  setting('PORTFOLIO_USER'),
  setting('PORTFOLIO_PASSWORD'),
);
const person = (options) => logged(browser, options);

test('from the sites to a site to a meter to its history', { skip }, async () => {
  const { context, page, wrong } = await person();
  const row = page.locator('tr[data-site]').first();
  await row.getByRole('link').waitFor();
  await row.getByRole('link').click();
  await page.locator('tr[data-meter]').first().getByRole('link').click();
  await page.locator('input[type="range"]').first().waitFor({ state: 'attached' });
  await page.getByRole('button', { name: 'Måned', exact: true }).click();
  await page.waitForURL((url) => url.searchParams.get('period') === 'month');
  await settled(page);
  await page.getByRole('button', { name: 'Tabell' }).click();
  assert.ok((await page.locator('tbody tr').count()) > 0, 'the table has rows');
  assert.deepEqual(wrong, []);
  await context.close();
});

for (const [device, width] of Object.entries(WIDTHS)) {
  const where = `${device} (${width} px)`;
  test(`every page on a ${where}`, { skip, timeout: 120_000 }, async () => {
    const { context, page, wrong } = await person({ width });
    const sites = await api(page, '/sites');
    const site = sites.find((it) => it.gateway);
    assert.ok(site, 'a site is enrolled');
    const { meters_list: meters } = await api(page, `/sites/${site.id}`);
    const pages = {
      sites: '/',
      site: `/sites/${site.id}`,
      'site-meter': `/sites/${site.id}/meters/${meters[0]?.id}`,
      compare: '/compare',
      'portfolio-setup': '/setup',
    };
    for (const [name, path] of Object.entries(pages)) {
      await page.goto(path);
      await settled(page);
      await holds(page, `${name}-${width}`, `${name}, ${where}`);
    }
    assert.deepEqual(wrong, []);
    await context.close();
  });
}
